"""Windows: every pixel is painted, each window knows enough, corners come last."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canvas.layout import outpaint_layout, usable_overlap, windows
from app.errors import BadRequest
from app.request import Outpaint

ID = "0" * 64


def asked(**values: int) -> Outpaint:
    return Outpaint(image=ID, **{"left": 0, "right": 0, "up": 0, "down": 0, **values})


def test_canvas_is_extended_and_never_resized() -> None:
    layout = outpaint_layout(asked(left=16, down=8), (133, 97))
    assert (layout.width, layout.height) == (149, 105) and (layout.canvas_width, layout.canvas_height) == (152, 112)
    assert layout.kept == (16, 0, 149, 97) and layout.overlap == 16


def test_sizes_that_are_refused() -> None:
    with pytest.raises(BadRequest, match="all 0"):
        outpaint_layout(asked(), (133, 97))
    with pytest.raises(BadRequest, match="4104x97, but at most 4096x4096"):
        outpaint_layout(asked(left=8), (4096, 97))


def test_overlap_leaves_half_of_the_picture() -> None:
    assert usable_overlap(256, (64, 0, 192, 100), (256, 100)) == 32
    assert usable_overlap(256, (64, 0, 192, 100), (192, 100)) == 64
    assert usable_overlap(16, (64, 64, 192, 192), (256, 256)) == 16
    assert usable_overlap(16, (64, 64, 65, 65), (129, 129)) == 0


def test_what_fits_is_one_window() -> None:
    assert windows(192, 192, (32, 32, 160, 160), 128) == [(0, 0, 192, 192)]
    assert windows(512, 512, (128, 128, 384, 384), 512) == [(0, 0, 512, 512)]
    assert windows(256, 128, (64, 0, 192, 128), 128) == [(0, 0, 192, 128), (64, 0, 256, 128)]


@given(
    st.tuples(*[st.integers(0, 40).map(lambda cells: cells * 8)] * 4).filter(any),
    st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 128]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_every_window_is_of_a_size_for_the_model_and_all_is_painted(sides: tuple[int, ...], width: int, height: int, native: int) -> None:
    layout = outpaint_layout(asked(**dict(zip(("left", "right", "up", "down"), sides, strict=True))), (width, height))
    known = np.zeros((layout.canvas_height, layout.canvas_width), bool)
    left, top, right, bottom = layout.kept
    known[top : layout.canvas_height if bottom == layout.height else bottom, left : layout.canvas_width if right == layout.width else right] = True
    for box in windows(layout.canvas_width, layout.canvas_height, layout.kept, native):
        part = known[box[1] : box[3], box[0] : box[2]]
        assert not any(edge % 8 for edge in box) and box[0] >= 0 and box[2] <= layout.canvas_width and box[1] >= 0 and box[3] <= layout.canvas_height
        assert 0 < part.shape[0] <= native * 1.5 and 0 < part.shape[1] <= native * 1.5
        assert part.any() and not part.all()
        if min(width, height) >= native:
            assert part.mean() >= 0.25
        part[:] = True
    assert known.all()


def test_corners_come_last() -> None:
    boxes = windows(640, 640, (256, 256, 384, 384), 128)
    corners = [(0, 0), (0, 639), (639, 0), (639, 639)]
    first_seen = [next(i for i, box in enumerate(boxes) if box[0] <= x < box[2] and box[1] <= y < box[3]) for x, y in corners]
    middles = [(0, 320), (639, 320), (320, 0), (320, 639)]
    assert min(first_seen) > max(next(i for i, box in enumerate(boxes) if box[0] <= x < box[2] and box[1] <= y < box[3]) for x, y in middles[:2])
    assert boxes == windows(640, 640, (256, 256, 384, 384), 128)
