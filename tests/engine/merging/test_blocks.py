"""Block weights as the merge extensions number them."""

import pytest

from app.engine.merging.blocks import PRESETS, block_of, blocks_of, read
from app.errors import BadRequest
from tests.engine.merging.files import CLIP, UNET, weights

SD1 = blocks_of(weights(0))
SDXL = blocks_of(weights(0, ins=9))


def test_the_blocks_of_both_layouts() -> None:
    assert (len(SD1), SD1[0], SD1[11:14], SD1[-1]) == (25, "IN00", ("IN11", "M00", "OUT00"), "OUT11")
    assert (len(SDXL), SDXL[8:11], SDXL[-1]) == (19, ("IN08", "M00", "OUT00"), "OUT08")


@pytest.mark.parametrize(
    ("name", "block"),
    [("input_blocks.3.0.op.weight", "IN03"), ("middle_block.1.proj_in.weight", "M00"), ("output_blocks.11.1.norm.bias", "OUT11"),
     ("time_embed.0.bias", "IN00"), ("label_emb.0.0.weight", "IN00"), ("out.0.bias", "OUT08")],
)  # fmt: skip
def test_where_a_tensor_belongs(name: str, block: str) -> None:
    assert block_of(UNET + name, "OUT08") == block
    assert block_of(CLIP + name) == ""


def test_lists_of_25_and_of_26() -> None:
    numbers = [number / 100 for number in range(25)]
    plain = read(", ".join(map(str, numbers)), SD1, 0.5)
    assert (plain.base, plain.blocks["IN00"], plain.blocks["M00"], plain.blocks["OUT11"]) == (0.5, 0.0, 0.12, 0.24)
    first = read(" ".join(map(str, [0.9, *numbers])), SD1, 0.5)
    assert (first.base, first.blocks) == (0.9, plain.blocks)
    assert (first.of(CLIP + "x", "OUT11"), first.of(UNET + "out.2.weight", "OUT11")) == (0.9, 0.24)
    assert read("", SD1, 0.3).of(UNET + "out.2.weight", "OUT11") == 0.3


@pytest.mark.parametrize(("text", "complaint"), [
    ("1, 2", "has 2 numbers, but A has 25 blocks"), ("a, b", "holds 'a', but it must be a list of 25 or 26 numbers, or a preset: FLAT_25"),
    (",".join(["0.5"] * 19), "25 are needed, or 26"), (",".join(["nan"] * 25), "from -2 to 2"), (",".join(["3"] * 25), "from -2 to 2"),
])  # fmt: skip
def test_what_is_no_list(text: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint.replace("(", r"\(")):
        read(text, SD1, 0.5)


def test_presets_fit_every_number_of_blocks() -> None:
    for name in PRESETS:
        for blocks in (SD1, SDXL):
            found = read(name.lower().replace("_", " "), blocks, 0.25)
            assert found.base == 0.25 and list(found.blocks) == list(blocks)
            assert all(0 <= weight <= 1 for weight in found.blocks.values())
    grad = list(read("GRAD_V", SD1, 0).blocks.values())
    assert grad[:2] == [1.0, 0.916667] and grad[12] == 0.0 and grad[-1] == 1.0
    assert [name for name, weight in read("WRAP08", SD1, 0).blocks.items() if weight] == [*SD1[:4], *SD1[-4:]]
    assert [name for name, weight in read("OUT", SDXL, 0).blocks.items() if weight] == list(SDXL[10:])
