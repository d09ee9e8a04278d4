"""The whole house on one page: its parts, and the one path that a request takes through them.

Tabs, REST, command line and extensions all make the same frozen request and hand it to `Studio.submit`. The worker's
thread takes it from there (`Studio._work`): engine, canvas, library, and the journal hears of each saved picture.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from app import decode, hires, video, zoom_frames
from app.canvas.check import check
from app.canvas.fit import enlarged_size
from app.canvas.layout import outpaint_layout
from app.cards import Cards
from app.engine.checkpoints.find import Shelf
from app.engine.checkpoints.header import ModelFile
from app.engine.families import FAMILIES
from app.engine.merging.blocks import PRESETS
from app.engine.prompt import grammar
from app.engine.samplers import SAMPLERS
from app.engine.schedules import SCHEDULES
from app.engine.upscalers import find_upscaler, hires_upscalers, upscalers
from app.extensions import Extensions
from app.grid_job import Control, GridJobs
from app.grids.request import Grid, parse_any_json
from app.guests import refuse_large
from app.jobs import Background, Idle, Job, JobControl, JobQueue
from app.library import Library
from app.merge_job import MergeJobs
from app.merge_request import MERGE, Merge, parse_merge_json
from app.model_previews import ModelPreviews
from app.movein import record
from app.movein.pictures import take_in
from app.names import canonical, fitting_lora, group_of, text_encoders
from app.request import AnyRequest, AnyTask, Asked, Img2Img, Inpaint, Outpaint, Request, Sized, Txt2Img, Upscale, Zoom
from app.settings import Settings
from app.styles import Styles
from app.wildcards import Wildcards
from app.work import Picture, Progress, Report, as_one_of


@dataclass(frozen=True)
class Owner:
    """Who asks: `id` stands for a browser's cookie or a script's address; guests come through a share link."""

    id: str
    guest: bool = False


class AnyEngine(Protocol):
    """What the studio needs of an engine; `app.engine.engine.Engine` is the one."""

    def run(self, request: AnyTask, inputs: Mapping[str, Image.Image], report: Report) -> Iterator[Picture]: ...

    def describe(self) -> str:
        """Device, precision and attention in one line, for the start message."""
        ...


EngineMaker = Callable[[Settings, Shelf, Extensions], AnyEngine]


def make_engine(settings: Settings, shelf: Shelf, extensions: Extensions) -> AnyEngine:
    """The real engine. Imports torch and diffusers, so it is called in the worker's thread, after the page is up."""
    from app.engine.engine import Engine

    return Engine(settings, shelf, extensions)


class Studio:
    """Holds the parts; knows the path."""

    def __init__(self, settings: Settings, *, jobs_folder: Path | None = None, engine: EngineMaker = make_engine) -> None:
        """Args:
        jobs_folder: where the journal lives; by default in the outputs folder, which one Darkroom at a time may use.
        """
        decode.harden()
        self.settings = settings
        self.extensions = Extensions()
        self.extensions.load(settings.extension_dir)
        self.styles = Styles(settings.styles_file, settings.imported_styles)
        self.wildcards = Wildcards(settings.root / "wildcards", *settings.wildcard_dirs)
        for name, table in (("styles", self.styles), ("samplers", SAMPLERS), ("families", FAMILIES)):
            for _ in self.extensions.call(f"register_{name}", **{name: table}):
                pass
        self.shelf = Shelf(settings)
        self.library = Library(settings.outputs_dir)
        own = settings.outputs_dir / ".darkroom"
        self.cards = Cards(own / "cards.json")
        self.model_previews = ModelPreviews(own / "previews", kept_out=(settings.root / "models" / "embedded", *record.read(settings.root).places()))
        self.jobs = JobQueue(jobs_folder or settings.outputs_dir / ".darkroom" / "jobs")
        for job in self.jobs.recovered:
            self.jobs.adopt(job.id, tuple(saved.id for saved in self.library.of_job(job.id)))
        if jobs_folder is None:  # the journal of this very folder: it knows which pictures handed in are still needed
            self.library.assets.tidy(self.jobs.requests())
        self._alone = jobs_folder is not None
        self._background, self._idle = Background(), Idle(self.shelf.hash_quietly, self.jobs.busy)
        self._grids, self._merges = GridJobs(self), MergeJobs(self.shelf, settings)
        self._make_engine = engine
        self._engine: AnyEngine | None = None

    def start(self, on_ready: Callable[[str], None] = lambda line: None) -> None:
        """Start the worker. Its thread first builds the engine, then calls `on_ready` with one line about the device."""
        self.jobs.start(self._work, prepare=lambda: on_ready(self.engine().describe()))
        if not self._alone:
            self._background.start(lambda going: take_in(self.library, self.settings, lambda done, new: going()), "gallery")
            self._idle.start()

    def close(self) -> None:
        """Stop the running job (it is marked interrupted) and leave the folder to others."""
        self._background.close()
        self._idle.close()
        self.jobs.close()
        self.library.close()

    # ---- the path of a request, in the caller's thread

    def submit(self, request: AnyTask | Grid | Merge, owner: Owner) -> Job:
        """Queue a request. Raises UnknownName, BadCheckpoint, BadRequest, Refused or QueueFull before anything is queued."""
        if isinstance(request, Grid):
            request = self._grids.prepare(request, owner.id, owner.guest)
        elif isinstance(request, Merge):
            request = self._merges.prepare(request, owner.guest)
        else:
            request = self.resolve(request.concrete())
            if owner.guest:
                self.refuse_large(request)
        self._save_again(owner)
        return self.jobs.submit(owner.id, request.task, request.model_dump_json(), guest=owner.guest, group=group_of(request))

    def rerun(self, job_id: str, owner: Owner) -> Job:
        """A new job with the request of one that is over. Raises NotFound, BadRequest when it is not over, QueueFull, DiskTrouble."""
        self._save_again(owner)
        return self.jobs.rerun(job_id, owner.id, owner.guest, self._grids.again(self.jobs.get(job_id, owner.id).job))

    def _save_again(self, owner: Owner) -> None:
        """Before anything new is made, write what a full disk kept in memory. Raises DiskTrouble while there is still no room."""
        self.library.check_writable()
        for saved in self.library.retry_unsaved(owner.id):
            self.jobs.adopt(saved.job, (saved.id,))

    def resolve(self, request: AnyTask, inputs: Mapping[str, Image.Image] | None = None) -> AnyTask:
        """Names made canonical, sizes filled in, pictures known: what is queued can run as it stands. `inputs`: its pictures, where they are at hand."""
        inputs = self.inputs(request) if inputs is None else inputs
        if isinstance(request, Upscale):
            check(request, inputs)
            return request.model_copy(update={"upscaler": find_upscaler(self.settings, request.upscaler).name})
        known = self.canonical(request)
        self._read_prompts(next(self.wildcards.pictures(self.styles.apply(request)))[0])
        request = request.model_copy(update=known | self._size(request, self.shelf.checkpoint(known["checkpoint"]), inputs))
        check(request, inputs)
        return request

    def canonical(self, request: AnyRequest) -> dict[str, str]:
        """The fields that hold names, as our lists have them. Raises UnknownName, BadCheckpoint."""
        return canonical(request, self.shelf, self.settings)

    def inputs(self, request: Asked) -> dict[str, Image.Image]:
        """The pictures that a request names. Raises NotFound."""
        return {name: self.library.assets.get(asset) for name, asset in request.picture_fields().items()}

    def _read_prompts(self, styled: AnyRequest) -> None:
        """What is wrong with the prompts is said before queueing: too deep, too long, a network that is not there."""
        by_key = zoom_frames.key_prompts(styled) if isinstance(styled, Zoom) else []
        again = (styled.hr_prompt, styled.hr_negative_prompt) if isinstance(styled, Txt2Img) and styled.enable_hr else ()
        for text in (styled.prompt, styled.negative_prompt, *again, *by_key):
            plain, networks = grammar.extract_networks(grammar.strip_comments(text))
            grammar.attention(plain)
            grammar.check_kinds(networks)
            for network in networks:
                fitting_lora(self.shelf, network.name, styled)

    def _size(self, request: AnyRequest, checkpoint: ModelFile, inputs: Mapping[str, Image.Image]) -> dict[str, int]:
        """Width and height for a request that leaves them open: the source picture's for img2img, else the native size.

        Inpaint keeps them open: it then works on the picture as it is, without resampling.
        """
        if not isinstance(request, Sized) or request.task == "inpaint":
            return {}
        width = height = checkpoint.native
        if isinstance(request, Img2Img):
            width, height = (min(4096, max(64, round(side / 8) * 8)) for side in inputs["image"].size)
        return {"width": request.width or width, "height": request.height or height}

    def refuse_large(self, request: AnyTask) -> None:
        """What a guest may not ask for. Raises Refused with the limit."""
        refuse_large(request, self._largest(request))

    def _largest(self, request: AnyTask) -> tuple[int, int]:
        """Width and height of the largest picture that the model works on or the job makes."""
        if isinstance(request, Outpaint):
            layout = outpaint_layout(request, self.library.assets.get(request.image).size)
            return layout.width, layout.height
        if isinstance(request, Upscale):
            return enlarged_size(self.library.assets.get(request.image).size, request.scale)
        if isinstance(request, Txt2Img) and request.enable_hr and request.width and request.height:
            sizes = [(request.width, request.height), hires.target(request, request.width, request.height).size]
            return max(sizes, key=lambda size: size[0] * size[1])
        width, height = self.library.assets.get(request.image).size if isinstance(request, Inpaint) else (0, 0)
        return request.width or width, request.height or height

    def take_picture(self, data: bytes) -> str:
        """Decode a picture file that somebody handed in and keep it. Returns its id. Raises BadPicture."""
        return self.library.assets.put(decode.decode(data))

    def choices(self, name: str) -> list[str]:
        """The names that a picker shows: "checkpoints", "vaes", "text_encoders", "samplers", "schedules", "styles" or "upscalers"."""
        lists: dict[str, Callable[[], list[str]]] = {
            "checkpoints": lambda: [file.name for file in self.shelf.checkpoints() if not file.problem],
            "vaes": lambda: [file.name for file in self.shelf.vaes() if not file.problem],
            "text_encoders": lambda: text_encoders(self.shelf),
            "samplers": lambda: list(SAMPLERS),
            "schedules": lambda: list(SCHEDULES),
            "styles": self.styles.names,
            "upscalers": lambda: [upscaler.name for upscaler in upscalers(self.settings)],
            "hires_upscalers": lambda: hires_upscalers(self.settings),
            "merge_presets": lambda: list(PRESETS),
        }
        return lists[name]()

    def count_tokens(self, checkpoint: str, text: str, composes: bool = True) -> tuple[int, int]:
        """Tokens that the checkpoint's tokenizer makes of a prompt, and how many fit into its chunks (75, 150, ...)."""
        from app.engine.prompt.counter import count_tokens

        return count_tokens(self.shelf.checkpoint(checkpoint), text, self.shelf.embeddings(), composes=composes)

    # ---- the path of a request, in the worker's thread

    def engine(self) -> AnyEngine:
        """The engine, built at the first call. Only the worker's thread calls this."""
        if self._engine is None:
            self._engine = self._make_engine(self.settings, self.shelf, self.extensions)
        return self._engine

    def _work(self, job: Job, control: JobControl) -> None:
        """One job from journal row to saved files. Each picture is saved before the next is begun."""
        if job.task == MERGE:
            self._merges.work(parse_merge_json(job.request), control.report)
            return
        asked = parse_any_json(job.request)
        if isinstance(asked, Grid):
            self._grids.work(asked, job, control)
            return
        inputs = self.inputs(asked)
        for number, (single, templates) in enumerate(self.drawn(asked)):
            report = control.report if single is asked else as_one_of(control.report, number, asked.pictures)
            self.run(single, inputs, job, control, report, templates)

    def drawn(self, asked: AnyTask) -> Iterator[tuple[AnyTask, Mapping[str, str]]]:
        """What is to run, with pairs for the infotext: the task itself, or with wildcards a request for each picture."""
        if not isinstance(asked, Request) or not asked.wildcards:
            yield asked, {}
            return
        styled = self.styles.apply(asked)
        yield from ((asked if single is styled else single, templates) for single, templates in self.wildcards.pictures(styled))

    def run(self, asked: AnyTask, inputs: Mapping[str, Image.Image], job: Job, control: Control, report: Report, facts: Mapping[str, str]) -> None:
        """One run of the engine: all pictures of a job, or one whose prompt was drawn apart."""
        request = self._prepared(asked) if isinstance(asked, Request) else asked
        made: list[Picture] = []
        for picture in self.engine().run(request, inputs, report):
            if isinstance(request, Request):
                picture = self._finished(replace(picture, facts={**picture.facts, **facts}), request)
            saved = self.library.save(picture, asked.model_copy(update=picture.changes), job.id, job.owner, shown=request.model_copy(update=picture.changes))
            control.add_output(saved.id)
            if isinstance(request, Zoom):
                made.append(picture)
        if isinstance(request, Zoom):
            self._save_video(request, made, job, control)

    def _prepared(self, request: AnyRequest) -> AnyRequest:
        """The request as extensions and styles change it."""
        for changed in self.extensions.call("change_request", request=request):
            request = changed
        return self.styles.apply(request)

    def _finished(self, picture: Picture, request: AnyRequest) -> Picture:
        """The picture as extensions change it. Upscales do not come here: their pictures did when they were painted."""
        for image in self.extensions.call("change_image", image=picture.image, request=request):
            picture = replace(picture, image=image)
        return picture

    def _save_video(self, request: Zoom, keys: list[Picture], job: Job, control: JobControl) -> None:
        """Render the frames between the keys straight into the encoder."""

        def on_frame(done: int, of: int) -> None:
            control.report(Progress("frames", request.keys, request.keys, done, of))

        def write(path: Path) -> None:
            frames = zoom_frames.frames([key.image for key in keys], [key.raw for key in keys], request)
            video.write(frames, path, request, on_frame)

        saved = self.library.save_video(write, request, job.id, job.owner, poster=keys[0].image)
        control.add_output(saved.id)
