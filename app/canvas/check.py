"""What a request cannot be done with, as far as it can be told without a model. Asked before a job is queued; the tasks ask again."""

from collections.abc import Mapping

from PIL import Image

from app.canvas.fit import enlarged_size, rounded_up
from app.canvas.layout import MAX_SIDE, outpaint_layout
from app.canvas.mask import read_mask
from app.errors import BadRequest
from app.request import AnyTask, Inpaint, Outpaint, Upscale, Zoom
from app.video import check_format
from app.zoom_frames import key_prompts


def check(request: AnyTask, inputs: Mapping[str, Image.Image]) -> None:
    """Raises BadRequest: mask of another size, empty mask, canvas too large, nothing to extend, a key that does not exist, no encoder,
    a picture that would become too large.

    Args:
        inputs: the decoded pictures under "image" and "mask".
    """
    if isinstance(request, Inpaint):
        check_size(request, inputs["image"])
        read_mask(inputs["mask"], inputs["image"].size, request.mask_mode)
    elif isinstance(request, Outpaint):
        outpaint_layout(request, inputs["image"].size)
    elif isinstance(request, Zoom):
        key_prompts(request)
        check_format(request.video_format)
    elif isinstance(request, Upscale):
        check_enlarged(request, inputs["image"])


def check_size(request: Inpaint, image: Image.Image) -> None:
    """Raises BadRequest when the whole of a picture would be worked on at its own size, and that is too large."""
    whole = request.inpaint_area == "Whole picture"
    if whole and ((request.width is None and rounded_up(image.width) > MAX_SIDE) or (request.height is None and rounded_up(image.height) > MAX_SIDE)):
        hint = "Give a width and a height, or choose the inpaint area 'Only masked'."
        raise BadRequest(f"The image is {image.width}x{image.height}, but at most {MAX_SIDE}x{MAX_SIDE} can be painted at once.", hint)


def check_enlarged(request: Upscale, image: Image.Image) -> None:
    """Raises BadRequest when the larger picture would be larger than any other that is made here."""
    width, height = enlarged_size(image.size, request.scale)
    if width > MAX_SIDE or height > MAX_SIDE:
        made = f"{width}x{height} of {image.width}x{image.height}"
        raise BadRequest(f"Scale (scale) is {request.scale:g}, which makes {made}, but at most {MAX_SIDE}x{MAX_SIDE} is allowed.")
