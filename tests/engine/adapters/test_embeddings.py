import torch
from safetensors.torch import save_file

from app.engine.adapters.embeddings import dictionary, embeddings_in
from app.engine.checkpoints.recognise import inspect_file
from app.engine.prompt.vocabulary import clip_vocabulary


def test_the_first_word_of_a_name_that_fits_is_read(tmp_path):
    def word(place, width, value):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        save_file({"emb_params": torch.full((2, width), value)}, tmp_path / place)
        return inspect_file(tmp_path / place, place, "embedding")

    wide, mine = word("a/dusk.safetensors", 768, 1.0), word("b/Dusk.safetensors", 128, 2.0)
    ours, other = word("c/dusk.safetensors", 128, 3.0), word("d/dawn.safetensors", 128, 4.0)
    assert embeddings_in("a cat at DUSK", [wide, mine, ours, other], {"clip-l": 128}) == [mine]
    assert embeddings_in("a cat at dusk and dawn", [wide, ours, other], {"clip-l": 768}) == [wide]
    read = dictionary(clip_vocabulary(), [wide, mine, ours, other], "dusk, dawn", {"clip-l": 128}, "clip-l")
    assert {name: vectors[0, 0].item() for name, vectors in read.vectors.items()} == {"Dusk": 2.0, "dawn": 4.0}
    assert {word.name: word.vectors for words in read.words.values() for word in words} == {"Dusk": 2, "dawn": 2}
