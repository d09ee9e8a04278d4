import torch
from safetensors.torch import save_file

from app.engine.adapters.embeddings import dictionary, embeddings_in, read_embedding
from app.engine.checkpoints.recognise import inspect_file
from app.engine.prompt.vocabulary import clip_vocabulary


def test_the_first_word_of_a_name_that_fits_is_read(tmp_path):
    def word(place, width, value):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        save_file({"emb_params": torch.full((2, width), value)}, tmp_path / place)
        return inspect_file(tmp_path / place, place.removesuffix(".safetensors"), "embedding")

    wide, mine = word("a/dusk.safetensors", 768, 1.0), word("b/Dusk.safetensors", 128, 2.0)
    ours, other = word("c/dusk.safetensors", 128, 3.0), word("d/dawn.safetensors", 128, 4.0)
    assert embeddings_in("a cat at DUSK", [wide, mine, ours, other], {"clip-l": 128}) == [mine]
    assert embeddings_in("a cat at dusk and dawn", [wide, ours, other], {"clip-l": 768}) == [wide]
    read = dictionary(clip_vocabulary(), [wide, mine, ours, other], "dusk, dawn", {"clip-l": 128}, "clip-l")
    assert {name: vectors[0, 0].item() for name, vectors in read.vectors.items()} == {"Dusk": 2.0, "dawn": 4.0}
    assert {word.name: word.vectors for words in read.words.values() for word in words} == {"Dusk": 2, "dawn": 2}


def test_each_text_encoder_gets_its_own_vectors(tmp_path):
    towers = {"clip-l": 768, "openclip-g": 1280}
    save_file({"clip_l": torch.full((2, 768), 1.0), "clip_g": torch.full((2, 1280), 2.0)}, tmp_path / "dusk.safetensors")
    save_file({"emb_params": torch.ones(1, 768)}, tmp_path / "dawn.safetensors")
    files = [inspect_file(tmp_path / f"{name}.safetensors", name, "embedding") for name in ("dusk", "dawn")]
    for kind, value in (("clip-l", 1.0), ("openclip-g", 2.0)):
        read = dictionary(clip_vocabulary(), files, "dusk and dawn", towers, kind)
        assert set(read.vectors) == {"dusk"} and torch.equal(read.vectors["dusk"], torch.full((2, towers[kind]), value))
    assert {tower: tuple(vectors.shape) for tower, vectors in read_embedding(files[0]).items()} == {"clip_l": (2, 768), "clip_g": (2, 1280)}


def test_files_of_pytorch(tmp_path):
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.full((3, 768), 5.0)}, "name": "x", "step": 9}, tmp_path / "forest.pt")
    torch.save({"<river>": torch.full((768,), 6.0)}, tmp_path / "river.bin")
    files = [inspect_file(tmp_path / name, name.partition(".")[0], "embedding", pickles=True) for name in ("forest.pt", "river.bin")]
    read = dictionary(clip_vocabulary(), files, "a forest, a river", {"clip-l": 768}, "clip-l")
    assert {name: (len(vectors), vectors[0, 0].item()) for name, vectors in read.vectors.items()} == {"forest": (3, 5.0), "river": (1, 6.0)}
