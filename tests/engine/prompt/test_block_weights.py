import pytest

from app.engine.prompt.block_weights import BLOCKS, LAYOUTS, PRESETS, block_weights, is_block_weights
from app.engine.prompt.grammar import extract_networks
from app.errors import BadRequest


def test_the_layouts_are_those_of_the_extension():
    assert [len(blocks) for blocks in LAYOUTS.values()] == list(LAYOUTS) == [12, 17, 20, 26] and set().union(*LAYOUTS.values()) == set(BLOCKS)
    assert LAYOUTS[17] == ("BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{i:02}" for i in range(3, 12)))
    assert LAYOUTS[12] == ("BASE", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{i:02}" for i in range(6)))


@pytest.mark.parametrize("length", LAYOUTS)
def test_numbers_are_for_the_blocks_of_their_layout_and_nought_for_all_others(length):
    found = block_weights(",".join(str(number) for number in range(1, length + 1)))
    assert found == {block: LAYOUTS[length].index(block) + 1.0 if block in LAYOUTS[length] else 0.0 for block in BLOCKS}


def test_presets():
    written = {"OUTALL": "1,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1", "MIDD": "1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0", "INS": "1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0"}
    assert all(block_weights(name) == block_weights(numbers) for name, numbers in written.items())
    assert block_weights("OUTD", "sdxl") == block_weights("1,0,0,0,0,0,1,1,1,0,0,0") and set(block_weights("ALL0.5").values()) == {0.5}
    assert all(len(one) == 17 and len(other) == 12 for one, other in PRESETS.values())
    assert {block for block, weight in block_weights("IN04").items() if weight} == {"BASE", "IN04"} and block_weights("") == {}


@pytest.mark.parametrize("text", ["1,2,3", "a" + ",0" * 16, "outall", "nan" + ",0" * 16, "1" + ",0" * 17, "R" + ",0" * 16])
def test_what_is_neither_is_refused(text):
    with pytest.raises(BadRequest, match="12, 17, 20 or 26 numbers"):
        block_weights(text)
    with pytest.raises(BadRequest, match="12, 17, 20 or 26 numbers"):
        extract_networks(f"<lora:x:1:lbw={text}>")


def test_in_a_tag_with_or_without_its_name():
    numbers = "1,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1"
    for text in (f"<lora:x:0.5:lbw={numbers}>", f"<lora:x:0.5:{numbers}>"):
        [network] = extract_networks(text)[1]
        assert (network.te, network.unet, network.blocks) == (0.5, 0.5, numbers)
    assert is_block_weights("MIDD") and not is_block_weights("0.5")
