"""A zoo of model files: every family and format, what lies beside them in real folders, and everything that can be wrong with a file.

    for name, animal in zoo.ANIMALS.items(): animal.make(folder / name)

Each animal says what it is (`kind`, `family`), what its problem must say, and other facts of its `ModelFile`.
"""

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.layouts import checkpoints, clip, loras, unet, vae, write
from tests.layouts.checkpoints import LAYOUTS, layout, single

Shape = tuple[int, ...]
Make = Callable[[Path], object]
LDM = "model.diffusion_model."
BOTH = ("text encoder", "VAE")
FINISHED = "Darkroom's zoo: the bomb went off"


@dataclass(frozen=True)
class Animal:
    make: Make
    kind: str
    family: str
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def bomb() -> bytes:
    """A pickle that would write a file named in the environment, and says so."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (f"import os, pathlib; pathlib.Path(os.environ['ZOO_BOMB']).write_text({FINISHED!r})",)

    return pickle.dumps(Bomb(), protocol=2)


def raw(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def crafted(entries: object, data: bytes = b"", length: int | None = None) -> Make:
    """A file whose header is whatever JSON (or bytes) is given."""
    told = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return raw((len(told) if length is None else length).to_bytes(8, "little") + told + data)


def keys(names: Mapping[str, Shape], dtype: str = "F16", **metadata: str) -> Make:
    plain = {name.replace("__", "."): value for name, value in metadata.items()}
    return lambda path: write.sparse(path, names, dtype, plain or None)


def cut(names: Mapping[str, Shape], by: int | None) -> Make:
    """A download that stopped `by` bytes before its end; None: within the header."""

    def make(path: Path) -> None:
        write.sparse(path, names)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - by if by else 1000)

    return make


def with_yaml(names: Mapping[str, Shape], text: str) -> Make:
    def make(path: Path) -> None:
        write.sparse(path, names)
        path.with_suffix(".yaml").write_text(f"model:\n  base_learning_rate: 1.0e-04\n  params:\n    {text}\n    linear_start: 0.00085\n")

    return make


def bomb_archive(path: Path) -> None:
    """torch.save's form, with the bomb where the weights' description belongs."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bomb())
        archive.writestr("archive/version", "3\n")


def big_header(path: Path) -> None:
    with path.open("wb") as file:
        file.write((100 * 2**20).to_bytes(8, "little") + b'{"a":')
        file.truncate(101 * 2**20)


def of_many(count: int) -> bytes:
    return json.dumps({f"t{number}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for number in range(count)}).encode()


SD1, XL = single("sd1"), single("sdxl")
A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
TINY = {"a": A}


def _singles() -> dict[str, Animal]:
    """One file of each family, whole and plain; SD 2's numbers are zero, which looks like epsilon."""
    found = {}
    for family, made in LAYOUTS.items():
        told = {"sd2": "epsilon"}.get(family, "")
        found[f"{family}.safetensors"] = Animal(
            keys(single(family)), "checkpoint", family, facts={"prediction": told, "inputs": made.unet.inputs, "missing": (), "precision": "fp16"}
        )
    return found


def _folders() -> dict[str, Animal]:
    def maker(family: str, **options: Any) -> Make:
        return lambda path: write.folder(path, family, **options)

    found = {
        f"folder-{family}": Animal(maker(family), "checkpoint", family, facts={"prediction": made.prediction, "inputs": made.unet.inputs, "missing": ()})
        for family, made in LAYOUTS.items()
    }
    return found | {
        "folder-fp16": Animal(maker("sd1", variant="fp16"), "checkpoint", "sd1", facts={"precision": "fp16"}),
        "folder-shards": Animal(maker("sdxl", shards=3), "checkpoint", "sdxl"),
        "folder-fp32": Animal(maker("sd1", dtype="F32"), "checkpoint", "sd1", facts={"precision": "fp32"}),
        "folder-no-words": Animal(maker("sdxl", words=False), "checkpoint", "sdxl"),
        "folder-no-vae": Animal(_without("vae"), "checkpoint", "sd1", facts={"missing": ("VAE",)}),
        "folder-lost-shard": Animal(_lost_shard, "checkpoint", "sd1", "has 2 of the 3 parts"),
        "folder-pickles": Animal(_pickled, "checkpoint", "sd1", "holds PyTorch pickles"),
        "folder-flux": Animal(lambda path: _index(path, "FluxPipeline"), "checkpoint", "flux", "is a FLUX model"),
        "folder-qwen": Animal(lambda path: _index(path, "QwenImagePipeline"), "checkpoint", "qwen-image", "is a Qwen-Image model"),
        "folder-vae": Animal(_vae_folder, "vae", "sdxl"),
        "folder-text": Animal(_text_folder, "text encoder", "sd1"),
    }


def _without(part: str) -> Make:
    def make(path: Path) -> None:
        write.folder(path, "sd1")
        for file in (path / part).iterdir():
            file.unlink()
        (path / part).rmdir()

    return make


def _lost_shard(path: Path) -> None:
    write.folder(path, "sd1", shards=3)
    next((path / "unet").glob("*-of-*")).unlink()


def _pickled(path: Path) -> None:
    write.folder(path, "sd1")
    (path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    bomb_archive(path / "unet" / "diffusion_pytorch_model.bin")


def _index(path: Path, pipeline: str) -> None:
    path.mkdir()
    (path / "model_index.json").write_text(json.dumps({"_class_name": pipeline, "transformer": ["diffusers", "Transformer2DModel"]}))


def _vae_folder(path: Path) -> None:
    write.sparse(path / "diffusion_pytorch_model.safetensors", vae.diffusers(32))
    (path / "config.json").write_text(json.dumps(vae.config(32, 0.13025)))


def _text_folder(path: Path) -> None:
    small = replace(clip.L, width=64)
    write.sparse(path / "model.safetensors", clip.huggingface(small))
    (path / "config.json").write_text(json.dumps(clip.config(small)))


SMALL_XL = layout("sdxl").unet
SMALL_SD1 = layout("sd1").unet
LCM = {LDM + "time_embed.cond_proj.weight": (32, 256)}
UNCLIP = {LDM + "label_emb.0.0.weight": (128, 2048), LDM + "label_emb.0.2.weight": (128, 128), "embedder.model.visual.proj": (8, 8)}
CHECKPOINTS = {
    "sd1-ema.safetensors": Animal(keys(single("sd1", ema=True)), "checkpoint", "sd1", facts={"missing": ()}),
    "sd1-old-text.safetensors": Animal(keys(single("sd1", old_text=True)), "checkpoint", "sd1", facts={"missing": ()}),
    "sd1-fp32.safetensors": Animal(keys(SD1, "F32"), "checkpoint", "sd1", facts={"precision": "fp32"}),
    "sdxl-bf16.safetensors": Animal(keys(XL, "BF16"), "checkpoint", "sdxl", facts={"precision": "bf16"}),
    "sdxl-fp8.safetensors": Animal(keys(XL, "F8_E4M3"), "checkpoint", "sdxl", facts={"precision": "fp8"}),
    "sd1-unet.safetensors": Animal(keys(unet.ldm(SMALL_SD1)), "checkpoint", "sd1", facts={"missing": BOTH}),
    "sdxl-bare.safetensors": Animal(keys(unet.ldm(SMALL_XL, "")), "checkpoint", "sdxl", facts={"missing": BOTH}),
    "sd1-diffusers-unet.safetensors": Animal(keys(unet.diffusers(SMALL_SD1)), "checkpoint", "sd1", facts={"missing": BOTH}),
    "sdxl-diffusers-unet.safetensors": Animal(keys(unet.diffusers(SMALL_XL)), "checkpoint", "sdxl", facts={"missing": BOTH}),
    "refiner-diffusers-unet.safetensors": Animal(keys(unet.diffusers(layout("sdxl-refiner").unet)), "checkpoint", "sdxl-refiner", facts={"missing": BOTH}),
    "sd2-diffusers-unet.safetensors": Animal(keys(unet.diffusers(layout("sd2-depth").unet)), "checkpoint", "sd2-depth", facts={"missing": BOTH}),
    "sd1-no-vae.safetensors": Animal(keys(single("sd1", own_vae=False)), "checkpoint", "sd1", facts={"missing": ("VAE",)}),
    "sdxl-no-text.safetensors": Animal(keys(single("sdxl", text=False)), "checkpoint", "sdxl", facts={"missing": ("text encoder",)}),
    "noob.safetensors": Animal(
        keys(XL | {"v_pred": (), "ztsnr": ()}), "checkpoint", "sdxl", facts={"prediction": "v_prediction", "zero_snr": True}
    ),
    "someXL_vpred.safetensors": Animal(keys(XL), "checkpoint", "sdxl", facts={"prediction": "v_prediction", "zero_snr": False}),
    "spec.safetensors": Animal(keys(SD1, modelspec__prediction_type="v"), "checkpoint", "sd1", facts={"prediction": "v_prediction"}),
    "v2-1.safetensors": Animal(
        with_yaml(single("sd2"), 'parameterization: "v"'), "checkpoint", "sd2", facts={"prediction": "v_prediction", "native": 768}
    ),
    "v2-base.safetensors": Animal(
        with_yaml(single("sd2"), "# parameterization: v"), "checkpoint", "sd2", facts={"prediction": "epsilon", "native": 512}
    ),
    "dream.safetensors": Animal(keys(SD1 | LCM), "checkpoint", "sd1", facts={"variant": "lcm"}),
    "realisticVisionLCM.safetensors": Animal(keys(SD1), "checkpoint", "sd1", facts={"variant": "lcm"}),
    "sdxl_lightning_4step.safetensors": Animal(keys(XL), "checkpoint", "sdxl", facts={"variant": "lightning"}),
    "titled.safetensors": Animal(keys(XL, modelspec__title="Something Turbo"), "checkpoint", "sdxl", facts={"variant": "turbo"}),
    "Hyper-SDXL-8steps.safetensors": Animal(keys(XL), "checkpoint", "sdxl", facts={"variant": "hyper"}),
    "hyperrealism_v3.safetensors": Animal(keys(SD1), "checkpoint", "sd1", facts={"variant": ""}),
    "stray-lora-key.safetensors": Animal(keys(SD1 | {"lora_te_foo.lora_down.weight": (1, 1)}), "checkpoint", "sd1"),
    "seven.safetensors": Animal(
        keys(unet.ldm(replace(layout("sd2").unet, inputs=7)) | {LDM + "label_emb.weight": (1000, 128)}), "checkpoint", "sd2-upscaler", "SD 2 x4 upscaler"
    ),
    "six.safetensors": Animal(keys(single("sd1") | {LDM + "input_blocks.0.0.weight": (32, 6, 3, 3)}), "checkpoint", "sd1", "6 input channels"),
    "unclip.safetensors": Animal(keys(single("sd2") | UNCLIP), "checkpoint", "sd2-unclip", "unCLIP"),
    "playground.safetensors": Animal(keys(XL | {"edm_mean": (4,), "edm_std": (4,)}), "checkpoint", "playground", "Playground"),
    "cosxl.safetensors": Animal(keys(XL | {"edm_vpred.sigma_max": ()}), "checkpoint", "cosxl", "CosXL"),
    "words.safetensors": Animal(
        keys(SD1 | {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (500, 64)}), "checkpoint", "sd1", "knows 500 words"
    ),
    "nf4.safetensors": Animal(keys(XL | {LDM + "x.weight.quant_state.bitsandbytes__nf4": (9,)}), "checkpoint", "sdxl", "bitsandbytes"),
}
TRANSFORMERS = {
    name: Animal(keys({key: (8, 8)}), "checkpoint", family, problem)
    for name, key, family, problem in (
        ("flux1-dev.safetensors", "double_blocks.0.img_attn.norm.key_norm.scale", "flux", "is a FLUX model"),
        ("flux-comfy.safetensors", LDM + "double_blocks.0.img_attn.norm.key_norm.scale", "flux", "is a FLUX model"),
        ("flux-diffusers.safetensors", "single_transformer_blocks.0.attn.to_q.weight", "flux", "is a FLUX model"),
        ("sd3.safetensors", LDM + "joint_blocks.0.x_block.attn.qkv.weight", "sd3", "is an SD 3 model"),
        ("z-image.safetensors", "cap_pad_token", "z-image", "is a Z-Image model"),
        ("qwen.safetensors", "transformer_blocks.0.img_mlp.net.0.proj.weight", "qwen-image", "is a Qwen-Image model"),
        ("wan.safetensors", "blocks.0.cross_attn.norm_k.weight", "wan", "is a Wan model"),
        ("pixart.safetensors", "adaln_single.linear.weight", "pixart", "is a PixArt model"),
        ("auraflow.safetensors", "double_layers.0.attn.w1q.weight", "auraflow", "is an AuraFlow model"),
        ("mystery.safetensors", LDM + "mystery_blocks.0.weight", "unknown", "is an unknown model"),
    )
}
NETWORKS = {
    "sd1-lora.safetensors": Animal(keys(loras.kohya("sd1")), "lora", "sd1", facts={"width": 768}),
    "sd2-lora.safetensors": Animal(keys(loras.kohya("sd2")), "lora", "sd2", facts={"width": 1024}),
    "sdxl-lora.safetensors": Animal(keys(loras.kohya("sdxl")), "lora", "sdxl", facts={"width": 2048}),
    "refiner-lora.safetensors": Animal(keys(loras.kohya("sdxl-refiner")), "lora", "sdxl-refiner"),
    "v1-5-pruned-emaonly.safetensors": Animal(keys(loras.kohya("sd1", "locon")), "lora", "sd1"),
    **{f"sdxl-{form}.safetensors": Animal(keys(loras.kohya("sdxl", form)), "lora", "sdxl") for form in loras.FORMS[2:]},
    "sd1-loha.safetensors": Animal(keys(loras.kohya("sd1", "loha")), "lora", "sd1"),
    "sd1-lokr.safetensors": Animal(keys(loras.kohya("sd1", "lokr")), "lora", "sd1", facts={"width": 768}),
    "sd1-peft.safetensors": Animal(keys(loras.peft("sd1")), "lora", "sd1"),
    "sdxl-peft.safetensors": Animal(keys(loras.peft("sdxl", prefix="base_model.model.unet.")), "lora", "sdxl"),
    "sd2-old.safetensors": Animal(keys(loras.old_diffusers("sd2")), "lora", "sd2"),
    "text-only.safetensors": Animal(
        keys({"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 64)}, ss_base_model_version="sd_v1"), "lora", "sd1"
    ),
    "Hyper-SD15-8steps-lora.safetensors": Animal(keys(loras.peft("sd1")), "lora", "sd1", facts={"variant": "hyper"}),
    "flux-lora.safetensors": Animal(keys({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 8)}), "lora", "flux", "is a FLUX LoRA"),
    "told.safetensors": Animal(
        keys(loras.peft("sd1"), ss_tag_frequency=json.dumps({"a": {"ink": 9}}), sshs_model_hash="a" * 64), "lora", "sd1",
        facts={"triggers": ("ink",), "network": "a" * 64},
    ),
    "word.safetensors": Animal(keys({"emb_params": (4, 768)}), "embedding", "sd1"),
    "word-sd2.safetensors": Animal(keys({"emb_params": (4, 1024)}), "embedding", "sd2"),
    "word-sdxl.safetensors": Animal(keys({"clip_l": (4, 768), "clip_g": (4, 1280)}), "embedding", "sdxl", facts={"width": 2048}),
    "word-diffusers.safetensors": Animal(keys({"<cat-toy>": (768,)}), "embedding", "sd1"),
}  # fmt: skip
PARTS = {
    "vae.safetensors": Animal(keys(vae.ldm(32, "")), "vae", "sd1"),
    "vae-prefix.safetensors": Animal(keys(vae.ldm(32)), "vae", "sd1"),
    "vae-diffusers.safetensors": Animal(keys(vae.diffusers(32)), "vae", "sd1"),
    "vae-old-diffusers.safetensors": Animal(keys(vae.old_diffusers(32)), "vae", "sd1"),
    "sdxl_vae.safetensors": Animal(keys(vae.ldm(32, "")), "vae", "sdxl"),
    "flux-ae.safetensors": Animal(keys(vae.ldm(32, "", latents=16)), "vae", "flux", "is a FLUX VAE"),
    "taesd.safetensors": Animal(keys({"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}), "preview decoder", "unknown", "preview decoder"),
    "clip_l.safetensors": Animal(keys(clip.huggingface(replace(clip.L, width=64))), "text encoder", "sd1"),
    "clip_h.safetensors": Animal(keys(clip.openclip(replace(clip.H, width=64), "")), "text encoder", "sd2"),
    "clip_g.safetensors": Animal(keys(clip.huggingface(replace(clip.G, width=64))), "text encoder", "sdxl-refiner"),
    "sdxl-texts.safetensors": Animal(keys(checkpoints.text_keys("sdxl")), "text encoder", "sdxl"),
    "t5xxl.safetensors": Animal(
        keys({"encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8), "shared.weight": (8, 8)}), "text encoder", "t5", "is a T5 text encoder"
    ),
    "vision.safetensors": Animal(keys({"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}), "CLIP vision model", "unknown", "CLIP vision model"),
    "controlnet.safetensors": Animal(keys(unet.ldm(SMALL_SD1, "control_model.")), "controlnet", "unknown", "controlnet"),
    "controlnet-diffusers.safetensors": Animal(
        keys(unet.diffusers(SMALL_SD1) | {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}), "controlnet", "unknown", "controlnet"
    ),
    "t2i.safetensors": Animal(keys({"body.0.in_conv.weight": (8, 8, 1, 1)}), "T2I-Adapter", "unknown", "T2I-Adapter"),
    "ip-adapter.safetensors": Animal(keys({"ip_adapter.1.to_k_ip.weight": (8, 8), "image_proj.proj.weight": (8, 8)}), "IP-Adapter", "unknown", "an IP-Adapter"),
    "motion.safetensors": Animal(
        keys({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (8,)}), "motion module", "unknown", "a motion module"
    ),
    "esrgan.safetensors": Animal(keys({"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}), "upscaler", "unknown", "upscaler"),
    "strange.safetensors": Animal(keys({"foo": (3,)}), "unknown", "unknown", "not of a kind"),
}
BROKEN = {
    name: Animal(make, "checkpoint", "unknown", problem)
    for name, make, problem in (
        ("truncated.safetensors", cut(SD1, 10_000), "is truncated"),
        ("cut-header.safetensors", cut(SD1, None), "is truncated"),
        ("longer.safetensors", crafted(TINY, bytes(9)), "its header describes"),
        ("wrong-type.safetensors", crafted({"a": {**A, "dtype": "F7"}}, bytes(8)), "unknown type F7"),
        ("lying-type.safetensors", crafted({"a": {**A, "dtype": "F16"}}, bytes(8)), "its shape needs 4"),
        ("overlap.safetensors", crafted({"a": A, "b": A}, bytes(8)), "overlap or leave gaps"),
        ("gap.safetensors", crafted({"a": A, "b": {**A, "data_offsets": [16, 24]}}, bytes(24)), "overlap or leave gaps"),
        ("beyond.safetensors", crafted({"a": {"dtype": "U8", "shape": [2**50], "data_offsets": [0, 2**50]}}, bytes(8)), "is truncated"),
        ("negative.safetensors", crafted({"a": {**A, "data_offsets": [-8, 0]}}, bytes(8)), "leave gaps"),
        ("overflow.safetensors", crafted({"a": {**A, "shape": [2**62, 2**62]}}, bytes(8)), "impossible"),
        ("float.safetensors", crafted({"a": {**A, "shape": [2.0]}}, bytes(8)), "impossible"),
        ("twice.safetensors", crafted(b'{"a":%b,"a":%b}' % ((json.dumps(A).encode(),) * 2), bytes(8)), "occurs twice"),
        ("list.safetensors", crafted([1, 2]), "is not a safetensors file"),
        ("no-json.safetensors", crafted(b'{"a": nothing}'), "is not a list of tensors"),
        ("deep.safetensors", crafted(b"{" + b'"a":{' * 50_000 + b"}" * 50_001), "damaged"),
        ("many.safetensors", crafted(of_many(20_001)), "lists more than"),
        ("header-100mb.safetensors", big_header, "its header claims 104857600 bytes"),
        ("header-huge.safetensors", crafted(TINY, bytes(8), length=2**62), "at most"),
        ("empty.safetensors", raw(b""), "is empty"),
        ("three-bytes.safetensors", raw(b"\x01\x02\xff"), "is not a safetensors file"),
        ("zeros.safetensors", raw(bytes(4096)), "nothing but zeros"),
        ("garbage.safetensors", raw(bytes(range(128, 256)) * 40), "is not a safetensors file"),
        ("notes.safetensors", raw(b"trigger: ink sketch\nuse it at 0.7\n"), "is a text file"),
        ("page.safetensors", raw(b"<!DOCTYPE html><html>Log in to download</html>" * 30), "is a web page"),
        ("pointer.safetensors", raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2132625894\n"), "is a git-lfs pointer"),
        ("model.gguf.safetensors", raw(b"GGUF" + bytes(range(256)) * 4), "is a GGUF file"),
        ("bomb.safetensors", raw(bomb()), "is a PyTorch pickle"),
        ("bomb-zip.safetensors", bomb_archive, "is a PyTorch pickle"),
        ("evil-bomb.ckpt", bomb_archive, "--allow-pickles"),
        ("bare-bomb.pt", raw(bomb()), "--allow-pickles"),
        ("renamed.ckpt", keys(SD1), "Rename it to 'renamed.safetensors'"),
    )
}
ANIMALS: dict[str, Animal] = {**_singles(), **_folders(), **CHECKPOINTS, **TRANSFORMERS, **NETWORKS, **PARTS, **BROKEN}
FOLDERS = {name: animal.kind for name, animal in ANIMALS.items() if name.startswith("folder-")}


def make_all(folder: Path) -> Path:
    """All animals in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, animal in ANIMALS.items():
        animal.make(folder / name)
    return folder
