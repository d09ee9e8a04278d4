import pytest
import torch
from safetensors.torch import save_file

from app.engine.checkpoints.embeddings import bundled_in, for_tower, named_in, towers_of, vectors_in, vectors_of
from app.engine.checkpoints.header import Header, Tensor
from app.engine.checkpoints.recognise import inspect_file
from app.errors import BadCheckpoint
from tests import tiny

XL = {"clip-l": 768, "openclip-g": 1280}


def header(**shapes):
    return Header({name: Tensor("F32", shape, 0, 0) for name, shape in shapes.items()}, {})


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ({"emb_params": (3, 768)}, {"": ("emb_params", 3, 768)}),
        ({"string_to_param.*": (2, 1024)}, {"": ("string_to_param.*", 2, 1024)}),
        ({"<cat>": (768,)}, {"": ("<cat>", 1, 768)}),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, {"clip_l": ("clip_l", 4, 768), "clip_g": ("clip_g", 4, 1280)}),
        ({"text_encoders_0": (1, 768), "text_encoders_1": (1, 1280)}, {"clip_l": ("text_encoders_0", 1, 768), "clip_g": ("text_encoders_1", 1, 1280)}),
        ({"one": (768,), "two": (768,)}, {}),
        ({"weight": (3, 3, 3, 3)}, {}),
    ],
)
def test_whose_vectors_a_file_holds(shapes, found):
    assert vectors_in(header(**shapes)) == found


def test_which_text_encoder_reads_which():
    both = vectors_in(header(clip_l=(2, 768), clip_g=(2, 1280)))
    assert [for_tower(both, kind, width).tensor for kind, width in XL.items()] == ["clip_l", "clip_g"]
    assert for_tower(both, "openclip-h", 1024) is None and for_tower(both, "clip-l", 32) is None
    plain = vectors_in(header(emb_params=(2, 1024)))
    assert for_tower(plain, "openclip-h", 1024).rows == 2 and for_tower(plain, "clip-l", 768) is None


def test_only_words_for_all_text_encoders_are_words(tmp_path):
    def word(name, **tensors):
        save_file({key: torch.zeros(shape) for key, shape in tensors.items()}, tmp_path / f"{name}.safetensors")
        return inspect_file(tmp_path / f"{name}.safetensors", name, "embedding")

    files = [word("dusk", clip_l=(2, 768), clip_g=(3, 1280)), word("dawn", emb_params=(1, 768)), word("noon", clip_g=(1, 1280))]
    said = "dusk, DAWN and noon"
    assert [(found.word, count) for found, count in named_in(said, files, XL)] == [("dusk", 3)]
    assert [(found.word, count) for found, count in named_in(said, files, {"clip-l": 768})] == [("dawn", 1)]
    assert [(found.word, count) for found, count in named_in(said, files, {"openclip-g": 1280})] == [("dusk", 3), ("noon", 1)]
    assert len(named_in(said, files, None)) == 3 and named_in("nothing", files, XL) == []


def test_what_is_none_is_told(tmp_path):
    save_file({"one": torch.zeros(4), "two": torch.zeros(4)}, tmp_path / "x.safetensors")
    file = inspect_file(tmp_path / "x.safetensors", "x", "embedding")
    with pytest.raises(BadCheckpoint, match=r"'x\.safetensors'"):
        vectors_of(file)


def test_the_text_encoders_of_a_checkpoint_from_its_names_alone(tmp_path):
    from app.engine.checkpoints.recognise import inspect_folder

    folder = inspect_folder(tiny.make_folder(tmp_path / "folder"), "folder")
    single = inspect_file(tiny.make_single(tmp_path / "single.safetensors"), "single", "checkpoint")
    assert towers_of(folder) == towers_of(single) == {"clip-l": tiny.WIDTH}
    single.path.unlink()
    assert towers_of(single) is None


def test_words_that_a_lora_brings_along(tmp_path):
    tensors = {"bundle_emb.big cat.string_to_param.*": torch.zeros(2, 768), "lora_unet_x.diff": torch.zeros(2)}
    tensors |= {"bundle_emb.dusk.clip_l": torch.zeros(1, 768), "bundle_emb.dusk.clip_g": torch.zeros(1, 1280)}
    save_file(tensors, tmp_path / "x.safetensors")
    file = inspect_file(tmp_path / "x.safetensors", "x", "lora")
    words = bundled_in(file)
    assert [(word.word, word.prefix) for word in words] == [("big cat", "bundle_emb.big cat."), ("dusk", "bundle_emb.dusk.")]
    assert [found.word for found, _ in named_in("a big cat at dusk", words, {"clip-l": 768})] == ["big cat"]
    assert vectors_of(words[1])["clip_g"] == ("bundle_emb.dusk.clip_g", 1, 1280)
