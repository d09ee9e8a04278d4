"""What a request cannot be done with, as far as it can be told without a model. Asked before a job is queued; the tasks ask again."""

from collections.abc import Mapping

from PIL import Image

from app.canvas.fit import enlarged_size, rounded_up
from app.canvas.layout import MAX_SIDE, outpaint_layout
from app.canvas.mask import read_mask
from app.errors import BadRequest
from app.hires import target
from app.request import AnyTask, Inpaint, Outpaint, Txt2Img, Upscale, Zoom
from app.video import check_format
from app.zoom_frames import key_prompts

MIN_SIDE = 64


def check(request: AnyTask, inputs: Mapping[str, Image.Image]) -> None:
    """Raises BadRequest: mask of another size, empty mask, canvas too large, nothing to extend, a key that does not exist, no encoder,
    a picture that would become too large.

    Args:
        inputs: the decoded pictures under "image" and "mask".
    """
    if isinstance(request, Txt2Img) and request.enable_hr:
        check_target(request)
    elif isinstance(request, Inpaint):
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


def check_target(request: Txt2Img) -> None:
    """Raises BadRequest when the second pass of a request whose size is known would be too large or too small."""
    if request.width is None or request.height is None:
        return
    goal = target(request, request.width, request.height)
    width, height = goal.size
    if max(goal.to_width, goal.to_height) > MAX_SIDE or min(width, height) < MIN_SIDE:
        means = f"Upscale by (hr_scale) is {request.hr_scale:g}"
        if request.hr_resize_x or request.hr_resize_y:
            means = f"Resize to (hr_resize_x, hr_resize_y) is {request.hr_resize_x}x{request.hr_resize_y}"
        made = f"{goal.to_width}x{goal.to_height} of {request.width}x{request.height}"
        raise BadRequest(f"{means}, which makes {made}, but sides must be from {MIN_SIDE} to {MAX_SIDE}.")
