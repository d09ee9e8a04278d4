"""What it costs to know the models: milliseconds for each file of a zoo, and seconds until a shelf of 2,000 files is listed.

    python -m tools.benchmarks.shelf [--rounds 9] [--files 2000]

The zoo is the tests' (`tests/layouts/zoo.py`): all families and formats, and everything that can be wrong with a file. The shelf
has the headers of real files (full widths, no numbers): three quarters LoRAs, the rest checkpoints, VAEs, embeddings and broken files.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.checkpoints.recognise import INSPECT_FOLDER, inspect_file, is_model_folder
from app.settings import Settings
from tests.layouts import checkpoints, loras, vae, write, zoo

Template = tuple[int, str, Callable[[Path], object]]
TEMPLATES: tuple[Template, ...] = (
    (50, "lora/sd1", lambda path: write.sparse(path, loras.kohya("sd1"), metadata={"ss_tag_frequency": '{"a": {"ink": 9}}'})),
    (25, "lora/sdxl", lambda path: write.sparse(path, loras.kohya("sdxl"))),
    (4, "sd1", lambda path: write.sparse(path, checkpoints.single("sd1", small=False))),
    (4, "sdxl", lambda path: write.sparse(path, checkpoints.single("sdxl", small=False))),
    (10, "embeddings/word", lambda path: write.sparse(path, {"emb_params": (8, 768)})),
    (5, "vae/vae", lambda path: write.sparse(path, vae.ldm(prefix=""))),
    (2, "broken", lambda path: path.write_text("<html>Log in</html>")),
)
"""(Files in a hundred, name, what writes one)."""
START = """
import sys, time
from pathlib import Path
from app.engine.checkpoints.find import Shelf
from tools.benchmarks.shelf import settings_at
begin, worked = time.perf_counter(), time.process_time()
Shelf(settings_at(Path(sys.argv[1]))).everything()
print(time.perf_counter() - begin, time.process_time() - worked)
"""


def settings_at(root: Path) -> Settings:
    """Settings whose only models lie below `root`/models."""
    models = (root / "models",)
    return Settings(root=root, checkpoint_dirs=models, vae_dirs=models, lora_dirs=models, embedding_dirs=models, outputs_dir=root / "outputs")


Time = tuple[float, float]
"""(seconds on the clock, seconds of the processor): where others are at work, only the second means something."""


def timed(work: Callable[[], object]) -> Time:
    begin, worked = perf_counter(), process_time()
    work()
    return perf_counter() - begin, process_time() - worked


def look(path: Path) -> ModelFile:
    return INSPECT_FOLDER[is_model_folder(path)](path, path.name) if path.is_dir() else inspect_file(path, path.stem, "checkpoint")


def fastest(path: Path, rounds: int) -> Time:
    """The fastest time to tell what a file or folder is, clock and processor each."""
    times = [timed(lambda: look(path)) for _ in range(rounds)]
    return min(clock for clock, _ in times), min(processor for _, processor in times)


def fill(root: Path, files: int) -> int:
    """A shelf of about so many files; those of one kind are links to one file, so that making them takes no time. Returns their number."""
    made = 0
    for share, name, make in TEMPLATES:
        first = root / "models" / f"{name}-0.safetensors"
        first.parent.mkdir(parents=True, exist_ok=True)
        make(first)
        for number in range(1, count := max(1, files * share // 100)):
            os.link(first, first.with_name(f"{first.name.removesuffix('-0.safetensors')}-{number}.safetensors"))
        made += count
    return made


def new_start(root: Path) -> Time:
    """How long a process of its own takes to list the shelf, without the process's start."""
    told = subprocess.run([sys.executable, "-c", START, str(root)], capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2])
    clock, processor = told.stdout.split()
    return float(clock), float(processor)


def shelf_times(root: Path, rounds: int) -> dict[str, Time]:
    """The first look ever, the look of a later start, and a refresh within a start; medians."""
    firsts, laters = [], []
    for _ in range(rounds):
        (root / "outputs" / ".darkroom" / "models.json").unlink(missing_ok=True)
        firsts.append(new_start(root))
        laters.append(new_start(root))
    shelf = Shelf(settings_at(root))
    shelf.everything()
    again = [timed(shelf.refresh) for _ in range(rounds)]
    return {what: median(times) for what, times in (("first look ever", firsts), ("a later start", laters), ("refresh", again))}


def median(times: Sequence[Time]) -> Time:
    return statistics.median(clock for clock, _ in times), statistics.median(processor for _, processor in times)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.shelf", description="What it costs to know the models.")
    parser.add_argument("--rounds", type=int, default=9, help="how often each file is looked at; the fastest counts")
    parser.add_argument("--files", type=int, default=2000, help="size of the shelf")
    given = parser.parse_args(argv)
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        animals = zoo.make_all(Path(folder) / "zoo")
        times = {name: fastest(animals / name, given.rounds) for name in zoo.ANIMALS}
        say(" clock  processor\n")
        for name, (clock, processor) in sorted(times.items(), key=lambda item: -item[1][1]):
            file = look(animals / name)
            said = f"{file.kind} {file.family} {file.variant}".rstrip() + (f" ({file.problem[:60]}...)" if file.problem else "")
            say(f"{1000 * clock:6.2f} {1000 * processor:6.2f} ms  {name:<40} {said}\n")
        files = [processor for name, (_, processor) in times.items() if name not in zoo.FOLDERS]
        say(f"\n{len(times)} animals; processor: median {1000 * statistics.median(files):.2f} ms, slowest file {1000 * max(files):.2f} ms\n")
        made = fill(Path(folder) / "shelf", given.files)
        for what, (clock, processor) in shelf_times(Path(folder) / "shelf", max(1, given.rounds // 3)).items():
            say(f"{made} files, {what}: {clock:.3f} s, processor {processor:.3f} s\n")
    say(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
