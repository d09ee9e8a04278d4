"""Make pictures: flags -> request -> a studio of our own -> files.

With `-o` everything happens in a hidden folder beside the target, and finished files are renamed to their place. Without
it pictures go to the outputs folder like those of the page, whose journal is left alone: a running server is not disturbed.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from app import flags
from app.api.views import JobViews, pictures_of
from app.cli import fields, grid
from app.decode import MAX_BYTES
from app.errors import BadPicture, BadRequest, WorkFailed
from app.grids.request import GRID, Grid
from app.jobs import View
from app.jobs.worker import GENERIC
from app.library import Saved, read
from app.movein.first_values import for_command
from app.request import MAX_PARAMETERS, TASKS, AnyTask, Upscale, parse, picture_names
from app.settings import Settings
from app.studio import EngineMaker, Owner, Studio, make_engine

PLACEHOLDER = "0" * 64
VIDEO_SUFFIXES = (".webp", ".mp4")


@dataclass(frozen=True)
class Order:
    """What the command line asks for.

    Attributes:
        request: its pictures still stand for nothing; `files` names them.
        output: target of the picture, or of the video of a zoom; None: the outputs folder.
        keys: folder for the key pictures of a zoom, or the single pictures of a grid, or None.
    """

    request: AnyTask | Grid
    files: dict[str, Path]
    settings: Settings
    output: Path | None
    keys: Path | None
    as_json: bool
    verbose: bool


def make(task: str, argv: Sequence[str], engine: EngineMaker | None = None) -> int:
    """Run one job and write its files. Returns 0, or 130 when it was stopped. Raises StudioError."""
    order = read_order(task, argv)
    logging.basicConfig(level=logging.INFO if order.verbose else logging.CRITICAL, format="%(name)s: %(message)s")
    place = order.output.parent if order.output else order.settings.outputs_dir
    work = workspace(order.output.parent if order.output else None)
    published = False
    try:
        settings = replace(order.settings, outputs_dir=work / "outputs" if order.output else place)
        studio = Studio(settings, jobs_folder=work / "jobs", engine=engine or make_engine)
        try:
            status = run(studio, order)
            published = True
            return status
        finally:
            studio.close()
    finally:
        clear(work, published)


def clear(work: Path, published: bool) -> None:
    """Delete the work folder; but when finished pictures never reached their places, keep them and say where they are."""
    finished = [] if published else [file for file in work.glob("outputs/[!.]*/**/*") if file.is_file()]
    if not finished:
        shutil.rmtree(work, ignore_errors=True)
        return
    shutil.rmtree(work / "jobs", ignore_errors=True)
    sys.stderr.write(f"{len(finished)} finished pictures are kept in '{work / 'outputs'}'.\n")


def read_order(task: str, argv: Sequence[str]) -> Order:
    """The command line, checked as far as it can be before anything is opened. Raises BadRequest, BadSettings."""
    base, argv = grid.base_of(argv) if task == GRID else (task, argv)
    kind = TASKS[base]
    parser = flags.Parser(prog=f"python -m app {task}", usage=f"python -m app {task} [flags]", description=kind.__doc__)
    fields.add_to(parser, kind)
    if task == GRID:
        grid.add_to(parser)
    add = parser.add_argument_group("output").add_argument
    video = task == "zoom"
    add("-o", "--output", metavar="FILE", help="the video, .webp or .mp4" if video else "the picture, .png; several: out.png, out-2.png, ...")
    if video:
        add("--save-keys", metavar="FOLDER", help="put the key pictures here, too")
    if task == GRID:
        add("--save-cells", metavar="FOLDER", help="put the single pictures here, too")
    add("--json", action="store_true", help="print the record of the job as JSON")
    add("--verbose", action="store_true", help="show the log")
    flags.add_to(parser)
    given = parser.values(argv)
    settings = flags.settings_of(given)
    values = for_command(base, settings) | fields.values_of(kind, given)
    output = target(given.get("output"), VIDEO_SUFFIXES if video else (".png",))
    if video and output:
        values.setdefault("video_format", output.suffix[1:].lower())
        if values["video_format"] != output.suffix[1:].lower():
            raise BadRequest(f"--video-format is '{values['video_format']}', but -o names a {output.suffix} file.")
    files = {name: Path(values[name]) for name in picture_names(kind) if values.get(name)}
    request: AnyTask | Grid = parse({**values, "task": base, **dict.fromkeys(files, PLACEHOLDER)})
    if task == GRID:
        request = grid.grid_of(request, given)
    flag = next((name for name in ("save_keys", "save_cells") if name in given), "")
    keys = folder(given[flag], f"--{flag.replace('_', '-')}") if flag else None
    return Order(request, files, settings, output, keys, "json" in given, "verbose" in given)


def target(given: str | None, suffixes: tuple[str, ...]) -> Path | None:
    """The file of -o. Raises BadRequest when it cannot be written or its ending does not fit."""
    if given is None:
        return None
    path = Path(given).expanduser().absolute()
    if path.suffix.lower() not in suffixes:
        raise BadRequest(f"-o is '{given}', but its name must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise BadRequest(f"-o is '{given}', but that is a folder.")
    folder(str(path.parent), "-o")
    return path


def folder(given: str, flag: str) -> Path:
    """A folder that exists and can be written to. Raises BadRequest otherwise."""
    path = Path(given).expanduser().absolute()
    if not path.is_dir():
        raise BadRequest(f"{flag}: there is no folder '{path}'.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadRequest(f"{flag}: the folder '{path}' cannot be written to.")
    return path


def workspace(beside: Path | None) -> Path:
    """A hidden folder in `beside`, or one of the system's for temporary files. Raises BadRequest when it cannot be made."""
    try:
        return Path(tempfile.mkdtemp(prefix=".darkroom-" if beside else "darkroom-", dir=beside))
    except OSError as error:
        where = f"The folder '{beside}'" if beside else "The folder for temporary files"
        raise BadRequest(f"{where} cannot be written to: {(error.strerror or 'unknown error').lower()}.") from None


def run(studio: Studio, order: Order) -> int:
    """Submit, wait, put the files into their places, say what came of it."""
    given = {name: take(studio, name, path) for name, path in order.files.items()}
    if isinstance(order.request, Upscale) and not order.request.parameters:
        given["parameters"] = read.read(order.files["image"])[1][:MAX_PARAMETERS]
    request = order.request
    whole = request.with_base(request.base.model_copy(update=given)) if isinstance(request, Grid) else request.model_copy(update=given)
    job = studio.submit(whole, Owner("command line"))
    studio.start()
    view = wait(studio, job.id)
    files, record = publish(studio, view, order)
    for name, reason in studio.extensions.failed.items():
        sys.stderr.write(f"Extension '{name}' failed and was left out: {reason}\n")
    if order.as_json:
        sys.stdout.write(json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{file}\n" for file in files))
    if view.job.state == "done":
        return 0
    if view.job.state == "failed":
        bug = view.job.error == GENERIC and not order.verbose
        raise WorkFailed(view.job.error.split(".")[0] + ".", "--verbose shows the log.") if bug else WorkFailed(view.job.error)
    sys.stderr.write(f"Stopped; {len(files)} of {pictures_of(order.request.model_dump())} pictures are kept.\n")
    return 130


def take(studio: Studio, name: str, path: Path) -> str:
    """The id of an input picture. Raises BadPicture, which names the flag and the file."""
    try:
        return studio.take_picture(read_file(path))
    except BadPicture as error:
        raise BadPicture(f"--{name} {path}: {error.message}", error.hint) from None


def read_file(path: Path) -> bytes:
    """The bytes of a picture file; of one that is too large only as many as show that. Raises BadPicture."""
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadPicture(f"The file cannot be read: {(error.strerror or 'unknown error').lower()}.") from None


def wait(studio: Studio, job_id: str) -> View:
    """The job when it is over. Ctrl+C asks it to stop and waits for the end of its step; a second one gives up waiting."""
    wakes: SimpleQueue[None] = SimpleQueue()
    studio.jobs.subscribe(job_id, None, lambda: wakes.put(None))
    try:
        return _watch(studio, job_id, wakes)
    except KeyboardInterrupt:
        studio.jobs.cancel(job_id, None)
        return _watch(studio, job_id, wakes)


def _watch(studio: Studio, job_id: str, wakes: "SimpleQueue[None]") -> View:
    shown = 0
    while True:
        view = studio.jobs.get(job_id, None)
        if sys.stderr.isatty():
            line = "" if view.job.over else progress_line(view)
            sys.stderr.write("\r" + line.ljust(shown) + ("\r" if not line else ""))
            sys.stderr.flush()
            shown = len(line)
        if view.job.over:
            return view
        try:
            wakes.get(timeout=0.5)
        except Empty:
            continue


def progress_line(view: View) -> str:
    """Where a running job stands, in one short line."""
    progress = view.progress
    if progress is None:
        return "Starting ..."
    parts = [progress.phase.capitalize()]
    if progress.pictures > 1:
        parts.append(f"picture {progress.picture} of {progress.pictures}")
    if progress.steps:
        parts.append(f"{'frame' if progress.phase == 'frames' else 'step'} {progress.step} of {progress.steps}")
    if view.seconds_left is not None:
        parts.append(f"{view.seconds_left:.0f} s left")
    return ", ".join(parts)


def publish(studio: Studio, view: View, order: Order) -> tuple[list[Path], dict[str, Any]]:
    """Rename the finished files into their places. Returns them, and the record of the job. Raises WorkFailed."""
    saved = [studio.library.get(picture_id, None) for picture_id in view.job.outputs]
    record = JobViews(studio.library).json(view)
    keys = [item for item in saved if item.kind == "image"] if view.job.task == "zoom" else []
    if any(item.task == GRID for item in saved):  # a grid that was stopped has no sheet; its pictures take the place
        keys = [item for item in saved if item.task != GRID]
    mains = [item for item in saved if item not in keys]
    places = {item.id: item.path for item in saved}
    try:
        for number, item in enumerate(keys, 1):
            if order.keys:
                places[item.id] = put(item, order.keys / f"{'key' if view.job.task == 'zoom' else 'cell'}-{number:02d}.png", keep=order.output is None)
        for number, item in enumerate(mains, 1):
            if order.output:
                stem = order.output.stem + (f"-{number}" if number > 1 else "")
                places[item.id] = put(item, order.output.with_name(stem + order.output.suffix), keep=False)
    except OSError as error:
        raise WorkFailed(f"The picture could not be written: {(error.strerror or 'unknown error').lower()}.") from None
    for output in record["outputs"]:
        for address in ("url", "thumb"):
            del output[address]
        output["path"] = str(places[output["id"]])
    gone = {item.id for item in keys} if order.output and not order.keys else set()
    record["outputs"] = [output for output in record["outputs"] if output["id"] not in gone]
    return [path for picture_id, path in places.items() if picture_id not in gone], record


def put(item: Saved, place: Path, keep: bool) -> Path:
    """Move a finished file to its place (`keep`: leave the original, too), whole at any moment."""
    if not keep and item.path.stat().st_dev == place.parent.stat().st_dev:
        os.replace(item.path, place)
        return place
    part = place.with_name(f".{place.name}.{item.id}.part")
    try:
        shutil.copyfile(item.path, part)
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)
    return place
