import pytest
import torch

from app.engine.prompt import encode as module
from app.engine.prompt.chunks import PLAIN, Reading, Word, chunks, words_by_first
from app.engine.prompt.encode import LAST, Dictionary
from app.engine.prompt.vocabulary import clip_vocabulary
from tests import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder():
    return tiny.parts(0, clip_vocabulary=True).text_encoder


@pytest.fixture(scope="module")
def dictionary():
    return Dictionary(clip_vocabulary())


def encode(encoder, dictionary, text, reading, device):
    """The states alone."""
    return module.encode(encoder, dictionary, text, reading, device, LAST).states


@torch.no_grad()
def plain(encoder, dictionary, text):
    return encoder(torch.tensor([chunks(dictionary.vocabulary, text)[0].tokens]), output_hidden_states=True)


def test_an_unweighted_prompt_is_what_clip_says(encoder, dictionary):
    assert torch.allclose(encode(encoder, dictionary, "a cat", PLAIN, CPU), plain(encoder, dictionary, "a cat").last_hidden_state, atol=1e-6)


def test_weights_multiply_and_the_mean_is_kept(encoder, dictionary):
    states = plain(encoder, dictionary, "a cat").last_hidden_state
    weights = torch.ones(1, 77, 1)
    weights[0, 2] = 1.4
    expected = states * weights * (states.mean() / (states * weights).mean())
    found = encode(encoder, dictionary, "a (cat:1.4)", PLAIN, CPU)
    assert torch.allclose(found, expected, atol=1e-5) and found.mean() == pytest.approx(states.mean().item(), abs=1e-5)


def test_clip_skip_leaves_out_last_layers_and_keeps_the_norm(encoder, dictionary):
    output = plain(encoder, dictionary, "a cat")
    with torch.no_grad():
        for skip, layer in ((2, -2), (3, -3), (12, -3)):
            expected = encoder.final_layer_norm(output.hidden_states[layer])
            assert torch.allclose(encode(encoder, dictionary, "a cat", Reading(clip_skip=skip), CPU), expected, atol=1e-5)
    assert not torch.allclose(expected, output.last_hidden_state, atol=1e-2)


def test_chunks_stand_side_by_side_and_do_not_touch(encoder, dictionary):
    two = encode(encoder, dictionary, "a cat BREAK the house", PLAIN, CPU)
    assert two.shape == (1, 154, tiny.WIDTH)
    assert torch.equal(two[:, :77], encode(encoder, dictionary, "a cat", PLAIN, CPU))
    assert torch.equal(two[:, 77:], encode(encoder, dictionary, "the house", PLAIN, CPU))


def test_textual_inversion_replaces_embeddings_and_leaves_no_hook(encoder, dictionary):
    cat, vocabulary = encoder.embeddings.token_embedding.weight[2368:2369].detach(), dictionary.vocabulary
    known = Dictionary(vocabulary, words_by_first([Word("zzz", tuple(vocabulary.ids("zzz")), 1)]), {"zzz": cat})
    expected = encode(encoder, dictionary, "a cat", PLAIN, CPU)
    assert torch.allclose(encode(encoder, known, "a zzz", PLAIN, CPU), expected, atol=1e-6)
    assert not torch.allclose(encode(encoder, dictionary, "a zzz", PLAIN, CPU), expected, atol=1e-3)
    assert not encoder.embeddings.token_embedding._forward_hooks


def test_weights_do_not_blow_up_states_whose_mean_is_next_to_nothing(encoder, dictionary, monkeypatch):
    weights, norm = torch.ones(1, 77, 1), encoder.final_layer_norm
    weights[0, 2] = 1.4
    centred = torch.nn.functional.layer_norm
    monkeypatch.setattr(norm, "forward", lambda states: centred(states, states.shape[-1:]))
    states = plain(encoder, dictionary, "a cat").last_hidden_state
    assert abs(states.mean()) < 1e-6
    assert torch.allclose(encode(encoder, dictionary, "a (cat:1.4)", PLAIN, CPU), states * weights, atol=1e-5)


def test_emphasis_modes(encoder, dictionary):
    text, reading = "a (cat:1.4) [in] BREAK the house", {mode: Reading(emphasis=mode) for mode in ("Original", "No norm", "Ignore", "None")}
    found = {mode: encode(encoder, dictionary, text, reading[mode], CPU) for mode in reading}
    weights = torch.ones(1, 77, 1)
    weights[0, 2], weights[0, 3] = 1.4, 1 / 1.1
    states = plain(encoder, dictionary, "a cat in").last_hidden_state
    assert torch.allclose(found["No norm"][:, :77], states * weights, atol=1e-5)
    assert torch.allclose(found["Original"][:, :77], states * weights * (states.mean() / (states * weights).mean()), atol=1e-5)
    assert torch.equal(found["Ignore"], encode(encoder, dictionary, "a cat in BREAK the house", PLAIN, CPU))
    assert torch.equal(found["None"], encode(encoder, dictionary, "a \\(cat:1.4\\) \\[in\\] break the house", PLAIN, CPU))
