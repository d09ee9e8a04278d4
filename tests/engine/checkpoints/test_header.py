import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.engine.checkpoints.header import MAX_TENSORS, read_header
from app.engine.checkpoints.recognise import inspect_file, inspect_folder, recognise
from app.errors import BadCheckpoint
from tests import tiny
from tests.layouts import write


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return tiny.make_single(tmp_path_factory.mktemp("single") / "one.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.make_folder(tmp_path_factory.mktemp("folder") / "tiny")


def crafted(path, entries, data=b"", length=None):
    raw = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def fake(path, keys, metadata=None):
    """A file with empty tensors of these names and shapes; only its header matters."""
    save_file({name: torch.zeros(shape) for name, shape in keys.items()}, path, metadata)
    return path


def test_a_good_file(single):
    header = read_header(single)
    weights = load_file(single)
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {name: tensor.shape for name, tensor in header.tensors.items()}
    first = next(iter(weights))
    place = header.tensors[first]
    assert single.read_bytes()[place.begin : place.end] == weights[first].numpy().tobytes()
    assert recognise(header) == ("checkpoint", "sd1")
    assert inspect_file(single, "one", "checkpoint").native == tiny.NATIVE


BROKEN = {
    "empty": (lambda good: b"", "is empty"),
    "half": (lambda good: good[: len(good) // 2], r"is truncated: it has \d+ bytes, its header promises \d+"),
    "cut header": (lambda good: good[:100], "is truncated: it has 100 bytes, its header alone needs"),
    "page": (lambda good: b"<!DOCTYPE html><html>login required</html>" * 20, "is a web page"),
    "pointer": (lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git-lfs pointer"),
    "pickle": (lambda good: b"PK\x03\x04" + good, "PyTorch pickle"),
    "old pickle": (lambda good: b"\x80\x02}q" + good, "PyTorch pickle"),
    "text": (lambda good: b"just some notes about models\n", "is a text file"),
    "utf-8 text": (lambda good: "Notizen über Modelle\n".encode() * 100, "is a text file"),
    "json text": (lambda good: b'{"a": 1}', "is a text file"),
    "noise": (lambda good: bytes(range(256)) * 9, "is not a safetensors file"),
    "gguf": (lambda good: b"GGUF\x03\x00\x00\x00" + good, "GGUF"),
    "longer": (lambda good: good + b"\x00" * 7, r"its header describes \d+"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_every_broken_file_gets_its_sentence(case, single, tmp_path):
    make, sentence = BROKEN[case]
    path = tmp_path / "x.safetensors"
    path.write_bytes(make(single.read_bytes()))
    with pytest.raises(BadCheckpoint, match=sentence) as caught:
        read_header(path)
    assert caught.value.message.startswith("'x.safetensors'") and caught.value.message.count("\n") == 0
    file = inspect_file(path, "x", "lora")
    assert file.problem == str(caught.value) and (file.kind, file.family) == ("lora", "unknown")


A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
CRAFTED = {
    "overlap": ({"a": A, "b": {**A, "data_offsets": [4, 12]}}, bytes(12), "overlap or leave gaps"),
    "gap": ({"a": A, "b": {**A, "data_offsets": [16, 24]}}, bytes(24), "overlap or leave gaps"),
    "negative": ({"a": {**A, "shape": [-2]}}, bytes(8), "impossible shape"),
    "two negatives": ({"a": {**A, "shape": [-1, -2]}}, bytes(8), "impossible shape"),
    "shifted places": ({"a": {**A, "data_offsets": [0]}, "b": {**A, "data_offsets": [8, 8, 16]}}, bytes(16), "not a list of tensors"),
    "boolean": ({"a": {**A, "shape": [True, 2]}}, bytes(8), "impossible shape"),
    "huge": ({"a": {**A, "shape": [2**62, 2**62]}}, bytes(8), "impossible shape"),
    "too small": ({"a": {**A, "shape": [3]}}, bytes(8), "its shape needs 12"),
    "type": ({"a": {**A, "dtype": "F7"}}, bytes(8), "unknown type F7"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "not a list of tensors"),
    "list": ([1, 2], b"", "not a safetensors file"),
    "twice": (b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b"", "occurs twice"),
    "deep": (b"{" + b'"a":{' * 100_000 + b"}" * 100_001, b"", "damaged"),
    "many": ({f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(MAX_TENSORS + 1)}, b"", "lists more than"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_headers_that_lie(case, tmp_path):
    entries, data, sentence = CRAFTED[case]
    with pytest.raises(BadCheckpoint, match=sentence):
        read_header(crafted(tmp_path / "x.safetensors", entries, data))


def test_a_header_longer_than_allowed(tmp_path):
    with pytest.raises(BadCheckpoint, match="at most"):
        read_header(crafted(tmp_path / "x.safetensors", {"a": A}, bytes(8), length=2**40))


U = "model.diffusion_model."
SD1 = {U + "input_blocks.0.0.weight": (8, 4, 3, 3), U + "middle_block.1.proj_in.weight": (8, 8, 1, 1), "cond_stage_model.x": (1,)}
KINDS = {
    "inpaint": (SD1 | {U + "input_blocks.0.0.weight": (8, 9, 3, 3)}, "checkpoint", "sd1-inpaint", ""),
    "edit": (SD1 | {U + "input_blocks.0.0.weight": (8, 8, 3, 3)}, "checkpoint", "sd1-ip2p", ""),
    "sdxl inpaint": (SD1 | {U + "label_emb.0.0.weight": (8, 8), U + "input_blocks.0.0.weight": (8, 9, 3, 3)}, "checkpoint", "sdxl-inpaint", ""),
    "odd words": (SD1 | {"cond_stage_model.x.embeddings.token_embedding.weight": (50, 8)}, "checkpoint", "sd1", "knows 50 words, not CLIP's"),
    "no text": ({key: shape for key, shape in SD1.items() if "cond" not in key}, "checkpoint", "sd1", ""),
    "sd2": (SD1 | {U + "middle_block.1.proj_in.weight": (8, 8)}, "checkpoint", "sd2", ""),
    "sdxl": (SD1 | {U + "label_emb.0.0.weight": (8, 8)}, "checkpoint", "sdxl", ""),
    "refiner": (SD1 | {U + "label_emb.0.0.weight": (8, 8), U + "input_blocks.9.0.x": (1,)}, "checkpoint", "sdxl-refiner", ""),
    "flux": ({"double_blocks.0.img_attn.norm.key_norm.scale": (4,)}, "checkpoint", "flux", "is a FLUX model"),
    "sd3": ({U + "joint_blocks.0.x": (4,)}, "checkpoint", "sd3", "is an SD 3 model"),
    "stray lora key": (SD1 | {"lora_te_foo.lora_down.weight": (1, 1)}, "checkpoint", "sd1", ""),
    "bare unet": ({key.removeprefix(U): shape for key, shape in SD1.items()}, "checkpoint", "sd1", ""),
    "controlnet": ({"control_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, "controlnet", "unknown", "is a controlnet"),
    "vae": ({"decoder.conv_in.weight": (8, 4, 3, 3)}, "vae", "sd1", ""),
    "vae with prefix": ({"first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, "vae", "sd1", ""),
    "flux vae": ({"decoder.conv_in.weight": (8, 16, 3, 3)}, "vae", "flux", "is a FLUX VAE"),
    "lora": ({"lora_unet_x_attn2_to_k.lora_down.weight": (4, 768)}, "lora", "sd1", ""),
    "sdxl lora": ({"lora_unet_x_attn2_to_k.lora_down.weight": (4, 2048)}, "lora", "sdxl", ""),
    "sdxl lora te": ({"lora_te2_x.lora_down.weight": (4, 8)}, "lora", "sdxl", ""),
    "peft lora": ({"unet.down.attn2.to_k.lora_A.weight": (4, 1024)}, "lora", "sd2", ""),
    "embedding": ({"emb_params": (2, 768)}, "embedding", "sd1", ""),
    "sdxl embedding": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, "embedding", "sdxl", ""),
    "nothing": ({"foo": (1,)}, "unknown", "unknown", "not of a kind that Darkroom knows"),
}


@pytest.mark.parametrize("case", KINDS)
def test_kind_and_family(case, tmp_path):
    keys, kind, family, problem = KINDS[case]
    file = inspect_file(fake(tmp_path / "x.safetensors", keys), "x", "checkpoint")
    assert (file.kind, file.family) == (kind, family)
    assert problem in file.problem and bool(problem) == bool(file.problem)


def test_folder(folder):
    file = inspect_folder(folder, "tiny")
    assert (file.kind, file.family, file.problem, file.native) == ("checkpoint", "sd1", "", tiny.NATIVE)
    assert file.weights[0].parent.name == "unet" and len(file.weights) == 3


WEIGHTS = "diffusion_pytorch_model.safetensors"
FOLDERS = {
    "no unet weights": (lambda path: (path / "unet" / WEIGHTS).unlink(), "'x/unet' has no .safetensors"),
    "pickles": (lambda path: (path / "vae" / WEIGHTS).rename(path / "vae" / "diffusion_pytorch_model.bin"), "holds PyTorch pickles"),
    "no config": (lambda path: (path / "vae" / "config.json").unlink(), "'x/vae' has no config.json"),
    "bad json": (lambda path: (path / "unet" / "config.json").write_text("{"), "'x/unet/config.json' cannot be read"),
    "no words": (lambda path: (path / "tokenizer" / "vocab.json").unlink(), "has no word list"),
    "cut": (lambda path: (path / "vae" / WEIGHTS).write_bytes(b""), "is empty"),
    "flux": (lambda path: (path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "is a FLUX model"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_broken_folders(case, folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "x")
    harm, sentence = FOLDERS[case]
    harm(path)
    assert sentence in inspect_folder(path, "x").problem


def test_a_folder_without_a_part_misses_it(folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "x")
    shutil.rmtree(path / "vae")
    file = inspect_folder(path, "x")
    assert (file.missing, file.problem) == (("VAE",), "")
    shutil.rmtree(path / "text_encoder")
    assert inspect_folder(path, "x").missing == ("text encoder", "VAE")


def test_folder_of_another_family(folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "x")
    config = json.loads((path / "unet" / "config.json").read_text())
    linear = {"use_linear_projection": True}
    for change, family in (
        ({"in_channels": 9}, "sd1-inpaint"), ({"in_channels": 8}, "sd1-ip2p"), (linear, "sd2"), (linear | {"in_channels": 5}, "sd2-depth"),
        ({"addition_embed_type": "text_time"}, "sdxl"),
    ):  # fmt: skip
        (path / "unet" / "config.json").write_text(json.dumps(config | change))
        assert inspect_folder(path, "x").family == family
    (path / "unet" / "config.json").write_text(json.dumps(config | {"in_channels": 7}))
    assert "upscaler" in inspect_folder(path, "x").problem


@pytest.mark.parametrize(("told", "family", "sentence"), [
    ({"_class_name": "EDMDPMSolverMultistepScheduler", "prediction_type": "epsilon"}, "playground", "'x' is a Playground 2.5 model"),
    ({"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}, "cosxl", "'x' is a CosXL model"),
    ({"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction"}, "sdxl", ""),
])  # fmt: skip
def test_an_sdxl_folder_of_continuous_noise_levels_is_none(told, family, sentence, tmp_path):
    path = write.folder(tmp_path / "x", "sdxl")
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(told))
    file = inspect_folder(path, "x")
    assert file.family == family and file.problem.startswith(sentence) and bool(file.problem) == bool(sentence)


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    heavy = ("torch", "diffusers", "transformers", "safetensors", "numpy")
    code = f"import sys, app.engine.checkpoints.find; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
