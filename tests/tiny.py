"""Tiny models in the layout of Stable Diffusion 1, for tests: random weights, native size 64x64, a second to make.

    folder = tiny.make_folder(tmp_path / "tiny")                 # diffusers folder with a vocabulary of its own
    single = tiny.make_single(tmp_path / "tiny.safetensors")     # original LDM key layout, CLIP's vocabulary

`parts` with the same seed and vocabulary has the same weights, so a folder and a single file of them give equal pictures.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from app.engine.checkpoints.find import Shelf
from app.engine.engine import Engine
from app.extensions import Extensions
from app.settings import Settings
from tools.embedded.ldm import ldm_state_dict

WIDTH = 32
NATIVE = 64
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
WORDS = ("the", "house", "in", "forest", "night", "a", "cat")


@dataclass
class Parts:
    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    clip_vocabulary: bool


def parts(seed: int = 0, *, clip_vocabulary: bool = False, in_channels: int = 4) -> Parts:
    """The three networks with random weights, float32. `clip_vocabulary`: 49,408 words instead of a few hundred."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    import app.engine  # noqa: F401  (keeps the libraries offline)

    words = 49408 if clip_vocabulary else len(_small_vocabulary()[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=NATIVE // 8, in_channels=in_channels, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=WIDTH, attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        vae = AutoencoderKL(
            block_out_channels=(32, 32, 32, 32), layers_per_block=1, latent_channels=4, sample_size=NATIVE,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )
        text_encoder = CLIPTextModel(_clip_config(words, layers=3, heads=1))
        for part in (unet, vae, text_encoder):
            _stir(part)
    return Parts(unet.eval(), vae.eval(), text_encoder.eval(), clip_vocabulary)


def embedded_parts(seed: int = 0, *, in_channels: int = 4) -> Parts:
    """Like `parts`, but different from SD 1 in what shapes do not tell, as the embedded family is: groups, heads, words, layers."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    import app.engine  # noqa: F401  (keeps the libraries offline)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=NATIVE // 8, in_channels=in_channels, block_out_channels=(32, 64), layers_per_block=2, cross_attention_dim=WIDTH, attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 16, 16), layers_per_block=1, latent_channels=4, sample_size=NATIVE, norm_num_groups=4, scaling_factor=0.2,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )
        text_encoder = CLIPTextModel(_clip_config(len(_small_vocabulary()[0]), layers=2, heads=4))
        for part in (unet, vae, text_encoder):
            _stir(part)
    return Parts(unet.eval(), vae.eval(), text_encoder.eval(), clip_vocabulary=False)


def _clip_config(words: int, layers: int, heads: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=layers, num_attention_heads=heads, max_position_embeddings=77,
        hidden_act="quick_gelu", projection_dim=WIDTH, bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=words - 1,
    )


def _stir(part: nn.Module) -> None:
    """Norms with default weights hide mistakes (and make A1111's mean renormalisation 0/0): give them values."""
    for module in part.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0.05, 0.1)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0, 0.5)


def make_folder(path: Path, seed: int = 0, **options: Any) -> Path:
    """A diffusers folder of `parts(seed)`; `options` go to `write_folder`."""
    return write_folder(path, parts(seed), **options)


def make_single(path: Path, seed: int = 0, dtype: torch.dtype = torch.float16) -> Path:
    """A single .safetensors file in the LDM key layout of `parts(seed, clip_vocabulary=True)`, about 8 MB."""
    return write_single(path, parts(seed, clip_vocabulary=True), dtype)


def write_folder(path: Path, made: Parts, *, dtype: torch.dtype = torch.float32, variant: str = "", prediction_type: str = "epsilon") -> Path:
    """Writes the parts as users' folders look: classic text encoder keys, tokenizer files, scheduler config."""
    dot = f".{variant}" if variant else ""
    for name, part, weights in (("unet", made.unet, "diffusion_pytorch_model"), ("vae", made.vae, "diffusion_pytorch_model")):
        (path / name).mkdir(parents=True)
        part.save_config(path / name)
        _save(part.state_dict(), path / name / f"{weights}{dot}.safetensors", dtype)
    (path / "text_encoder").mkdir()
    made.text_encoder.config.save_pretrained(path / "text_encoder")
    _save(_classic(made.text_encoder.state_dict()), path / "text_encoder" / f"model{dot}.safetensors", dtype)
    _write_tokenizer(path / "tokenizer", made.clip_vocabulary)
    (path / "scheduler").mkdir()
    scheduler = {"_class_name": "PNDMScheduler", **BETAS, "prediction_type": prediction_type}
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {
        "_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None], "feature_extractor": [None, None],
    }
    (path / "model_index.json").write_text(json.dumps(index))
    return path


def write_single(path: Path, made: Parts, dtype: torch.dtype = torch.float16) -> Path:
    """Writes the parts as one file in the original LDM layout, junk keys included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(ldm_weights(made), path, dtype, {"format": "pt", "modelspec.resolution": f"{NATIVE}x{NATIVE}"})
    return path


def ldm_weights(made: Parts) -> dict[str, Tensor]:
    """All weights under their LDM names, junk keys included."""
    found = ldm_state_dict(made.unet, made.vae, made.text_encoder)
    found["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77).unsqueeze(0)
    found["model_ema.decay"] = torch.tensor(0.9999)
    return found


def lora_weights(
    made: Parts, seed: int = 1, rank: int = 2, alpha: float = 1.0, *, conv: bool = False, everywhere: bool = False, strength: float = 0.3
) -> dict[str, Tensor]:
    """A LoRA in kohya's layout over all attention layers of UNet and text encoder.

    Args:
        conv: and over the blocks' 3x3 convolutions (LoCon).
        everywhere: over every matrix and every convolution, the first and the last too.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for prefix, part, keep in (("lora_unet_", made.unet, "attentions"), ("lora_te_text_model_", made.text_encoder, "")):
        for name, module in part.named_modules():
            linear = isinstance(module, nn.Linear) and (everywhere or keep in name)
            wide = isinstance(module, nn.Conv2d) and (everywhere or ((conv or "attentions" in name) and "block" in name))
            if not (linear or wide):
                continue
            kernel = tuple(module.weight.shape[2:])
            key = prefix + name.replace(".", "_")
            found[key + ".lora_down.weight"] = torch.randn(rank, module.weight.shape[1], *kernel, generator=generator) * strength
            found[key + ".lora_up.weight"] = torch.randn(module.weight.shape[0], rank, *(1 for _ in kernel), generator=generator) * strength
            found[key + ".alpha"] = torch.tensor(alpha)
    return found


def write_lora(path: Path, made: Parts, **options: Any) -> Path:
    _save(lora_weights(made, **options), path, torch.float32, {"ss_network_dim": "2"})
    return path


def write_embedding(path: Path, vectors: int = 2, seed: int = 1, width: int = WIDTH) -> Path:
    """A textual inversion embedding of `vectors` vectors; its word is the file's name."""
    _save({"emb_params": torch.randn(vectors, width, generator=torch.Generator().manual_seed(seed))}, path, torch.float32)
    return path


def _save(weights: dict[str, Tensor], path: Path, dtype: torch.dtype, metadata: dict[str, str] | None = None) -> None:
    cast = {key: (value.to(dtype) if value.is_floating_point() else value).contiguous().clone() for key, value in weights.items()}
    save_file(cast, path, metadata or {"format": "pt"})


def _classic(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"text_model." + key.removeprefix("text_model."): value for key, value in weights.items()}


def _small_vocabulary() -> tuple[dict[str, int], list[str]]:
    """(vocab, merges): 256 byte signs, the same at a word's end, whole words for WORDS, start and end."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    signs = [chr(byte) for byte in shown] + [chr(256 + i) for i in range(256 - len(shown))]
    merges: list[str] = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            merge = f"{pieces[0]} {pieces[1]}"
            merges += [merge] if merge not in merges else []
            pieces[:2] = ["".join(pieces[:2])]
    tokens = signs + [sign + "</w>" for sign in signs] + [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}, merges


def _write_tokenizer(path: Path, clip_vocabulary: bool) -> None:
    path.mkdir()
    if clip_vocabulary:
        from app.engine.prompt.vocabulary import clip_words
        vocab, merges = clip_words()
    else:
        vocab, merges = _small_vocabulary()
    (path / "vocab.json").write_text(json.dumps(vocab))
    (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "model_max_length": 77}
    (path / "tokenizer_config.json").write_text(json.dumps(config))


def both(told):
    """Hidden states of the prompt and of the negative prompt, in a conditioning that does not change on the way."""
    at = told.at(0, told.steps)
    return at.positives[0][1].states, None if at.negative is None else at.negative.states


def engine(folder: Path) -> Engine:
    """An engine on the CPU whose only model is "tiny", which is made below `folder`."""
    make_folder(folder / "tiny")
    nowhere = folder / "none"
    nowhere.mkdir()
    none = (nowhere,)
    settings = replace(
        Settings(), checkpoint_dirs=(folder,), vae_dirs=none, lora_dirs=none, embedding_dirs=none, extension_dir=nowhere, cpu_parts=frozenset({"all"})
    )  # fmt: skip
    return Engine(settings, Shelf(settings), Extensions())
