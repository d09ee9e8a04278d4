"""What is refused before any work."""

import sys

import pytest
from PIL import Image

from app.canvas.check import check
from app.errors import BadRequest
from app.request import Img2Img, Inpaint, Outpaint, Txt2Img, Zoom

ID = "0" * 64
PICTURE, MASK = Image.new("RGB", (64, 48)), Image.new("L", (64, 48), 255)


def test_what_can_be_done_passes() -> None:
    check(Inpaint(image=ID, mask=ID), {"image": PICTURE, "mask": MASK})
    check(Outpaint(image=ID), {"image": PICTURE})
    check(Img2Img(image=ID), {"image": PICTURE})
    check(Zoom(storyboard="1: sea"), {})
    check(Txt2Img(enable_hr=True, hr_scale=4, width=1024, height=64), {})
    check(Txt2Img(hr_scale=4, width=4096, height=64), {})


@pytest.mark.parametrize(("request_", "inputs", "sentence"), [
    (Inpaint(image=ID, mask=ID), {"image": PICTURE, "mask": MASK.resize((48, 64))}, "The mask is 48x64, but the image is 64x48."),
    (Inpaint(image=ID, mask=ID), {"image": PICTURE, "mask": Image.new("L", (64, 48))}, "The mask is empty."),
    (Inpaint(image=ID, mask=ID), {"image": Image.new("RGB", (4104, 8)), "mask": Image.new("L", (4104, 8), 255)}, "The image is 4104x8"),
    (Outpaint(image=ID, left=0, right=0), {"image": PICTURE}, "Left, right, up and down are all 0."),
    (Outpaint(image=ID, left=2048, right=2048), {"image": PICTURE}, "The extended image would be 4160x48"),
    (Zoom(keys=2, storyboard="5: sea"), {}, "Prompts by key has a line for key 5"),
    (Txt2Img(enable_hr=True, hr_scale=4, width=1032, height=64), {}, r"Upscale by \(hr_scale\) is 4, which makes 4128x256 of 1032x64, but sides"),
    (Txt2Img(enable_hr=True, hr_resize_x=8, hr_resize_y=512, width=64, height=64), {}, r"Resize to .* is 8x512, which makes 512x512 of 64x64"),
    (Txt2Img(enable_hr=True, hr_resize_x=4096, hr_resize_y=64, width=64, height=128), {}, "which makes 4096x8192 of 64x128"),
])  # fmt: skip
def test_what_cannot_is_told_in_a_sentence(request_: Inpaint | Outpaint | Zoom | Txt2Img, inputs: dict[str, Image.Image], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        check(request_, inputs)


def test_a_wide_picture_can_be_inpainted_in_part_or_made_smaller() -> None:
    inputs = {"image": Image.new("RGB", (4104, 8)), "mask": Image.new("L", (4104, 8), 255)}
    check(Inpaint(image=ID, mask=ID, inpaint_area="Only masked"), inputs)
    check(Inpaint(image=ID, mask=ID, width=512, height=64), inputs)


def test_mp4_without_its_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    check(Zoom(), {})
    with pytest.raises(BadRequest, match="pip install av"):
        check(Zoom(video_format="mp4"), {})
