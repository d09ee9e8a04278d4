"""What a visitor through a share link may ask at once."""

from app.errors import Refused
from app.request import Asked

GUEST_PIXELS = 1_050_000
GUEST_STEPS = 50
GUEST_PICTURES = 4


def refuse_large(request: Asked, size: tuple[int, int]) -> None:
    """What a visitor through a share link may ask at once. Raises Refused with the limit.

    Args:
        size: width and height of the largest picture in the job.
    """
    width, height = size
    if width * height > GUEST_PIXELS:
        raise Refused(f"Width x height is {width}x{height}, but guests may ask for at most {GUEST_PIXELS / 1e6:.2f} megapixels.")
    asked = {name: getattr(request, name, 0) for name in ("steps", *(("hr_second_pass_steps",) if getattr(request, "enable_hr", False) else ()))}
    for name, steps in asked.items():
        if steps > GUEST_STEPS:
            raise Refused(f"{type(request).model_fields[name].title} is {steps}, but guests may ask for at most {GUEST_STEPS}.")
    if request.pictures > GUEST_PICTURES:
        raise Refused(f"Batch count x batch size is {request.pictures}, but guests may ask for at most {GUEST_PICTURES} pictures at once.")
