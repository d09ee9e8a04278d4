"""From a request and its pictures to what the loop needs, and back to pixels. All that differs between the tabs lives here.

A task is a generator: it yields each picture as soon as it is finished, and asks its `Brush` for everything that needs the model
("upscale" needs none: its third argument is an `Enlarger`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PIL import Image

from app.engine.tasks.img2img import img2img
from app.engine.tasks.inpaint import inpaint
from app.engine.tasks.outpaint import outpaint
from app.engine.tasks.txt2img import txt2img
from app.engine.tasks.upscale import upscale
from app.engine.tasks.zoom import zoom
from app.work import Picture

Task = Callable[[Any, Mapping[str, Image.Image], Any], Iterator[Picture]]
"""(request of the task's class, pictures under "image" and "mask", brush or enlarger) -> finished pictures."""

TASKS: dict[str, Task] = {"txt2img": txt2img, "img2img": img2img, "inpaint": inpaint, "outpaint": outpaint, "zoom": zoom, "upscale": upscale}
