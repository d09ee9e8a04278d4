"""Jobs and pictures as JSON."""

import json
import re
from typing import Any

from app.errors import NotFound, StudioError
from app.grids.cells import count, lines_of
from app.grids.request import GRID, parse_any
from app.jobs import View
from app.library import Library, Saved

SEED = re.compile(r"(?:^|\n|, )(Seed|Variation seed): (\d{1,20})(?=,|\s|$)(?!.*\n)")


def saved_json(saved: Saved) -> dict[str, Any]:
    """One picture or video of the library. `seed` and `subseed` (None without a variation) are this very picture's."""
    seeds = {key: int(value) for key, value in reversed(SEED.findall(saved.infotext))}
    return {
        "id": saved.id,
        "url": f"/v1/outputs/{saved.id}{saved.path.suffix.lower()}",
        "thumb": f"/v1/outputs/{saved.id}/thumb",
        "kind": saved.kind,
        "foreign": saved.foreign,
        "task": saved.task,
        "width": saved.width,
        "height": saved.height,
        "job": saved.job,
        "created": saved.created,
        "seed": seeds.get("Seed"),
        "subseed": seeds.get("Variation seed"),
        "infotext": saved.infotext,
    }


def pictures_of(request: dict[str, Any]) -> int:
    """How many pictures a job makes; cells of a grid that ask for the same count each."""
    if request.get("task") == GRID:
        try:
            grid = parse_any(request)
            return count(lines_of(grid)) * grid.base.pictures
        except StudioError:  # a row of another version
            return 0
    return int(request.get("keys") or request.get("batch_count", 1) * request.get("batch_size", 1))


class JobViews:
    """Makes the JSON of views. Remembers the outputs that it has looked up, so a stream asks the library once for each."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._outputs: dict[str, dict[str, Any] | None] = {}

    def json(self, view: View) -> dict[str, Any]:
        """One view. Outputs that were deleted since are left out; their infotext comes when the job is over."""
        job, progress = view.job, view.progress
        request = json.loads(job.request)
        found = [self._output(picture_id) for picture_id in job.outputs]
        return {
            "id": job.id,
            "task": job.task,
            "state": job.state,
            "position": view.position,
            "phase": progress.phase if progress else None,
            "picture": progress.picture if progress else 0,
            "pictures": progress.pictures if progress else pictures_of(request),
            "step": progress.step if progress else 0,
            "steps": progress.steps if progress else 0,
            "seconds_left": view.seconds_left,
            "version": view.version,
            "error": job.error,
            "outputs": [output if job.over else {**output, "infotext": ""} for output in found if output],
            "request": request,
            "created": job.created,
            "started": job.started,
            "finished": job.finished,
        }

    def _output(self, picture_id: str) -> dict[str, Any] | None:
        if picture_id not in self._outputs:
            try:
                self._outputs[picture_id] = saved_json(self._library.get(picture_id, None))
            except NotFound:
                self._outputs[picture_id] = None
        return self._outputs[picture_id]
