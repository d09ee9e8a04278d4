"""From a model file to networks: header, expected keys and shapes, diffusers' conversion, weights assigned without a copy.

Keys and shapes are checked before any weight is read, so that a wrong file costs milliseconds and the sentence names
the tensor. Modules are built on the meta device (no memory, no random numbers) and given the weights as they are.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from app.engine.checkpoints.header import Header, ModelFile, config_of, read_header, weight_files
from app.engine.checkpoints.networks import Dtypes, Networks, Parts, TextTower
from app.engine.checkpoints.read import read_all, read_weights
from app.engine.checkpoints.recognise import STEMS, part_weights
from app.engine.families import sd1_layout as layout
from app.engine.prompt.vocabulary import Vocabulary, clip_vocabulary, folder_vocabulary
from app.engine.schedules import scaled_linear_alphas
from app.errors import BadCheckpoint

Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]


INPUTS = {"sd1-inpaint": 9}
"""Family -> input channels that its UNet must have; 4 where it is not listed."""


def load_networks(file: ModelFile, parts: Parts, dtypes: Dtypes) -> Networks:
    """The networks of a checkpoint, with its own parts or others.

    Raises:
        BadCheckpoint: one sentence that names what is missing, misshapen or damaged.
    """
    for chosen in (file, parts.vae, parts.text):
        if chosen is not None and chosen.problem:
            raise BadCheckpoint(chosen.problem)
    load = _from_folder if file.path.is_dir() else _from_single
    networks = load(file, dtypes, parts.vae is None)
    if parts.vae is not None:
        networks.vae = load_vae(parts.vae, dtypes.vae)
    _check_fit(networks, file, INPUTS.get(file.family, 4))
    return networks


def load_vae(file: ModelFile, dtype: torch.dtype) -> nn.Module:
    """A VAE from a file of its own (LDM keys with or without prefix, diffusers keys) or a diffusers folder. Raises BadCheckpoint."""
    if file.path.is_dir():
        return _folder_vae(file.path, weight_files(file.path, STEMS["vae"]), dtype)
    return _single_vae(file, read_header(file.path), dtype)


# ---- diffusers folders


def _from_folder(file: ModelFile, dtypes: Dtypes, own_vae: bool) -> Networks:
    path = file.path
    unet = _unet(config_of(path / "unet"), path)
    _fill_from(unet, part_weights(path, "unet"), dtypes.unet, dict, "UNet", path)
    text = _text_encoder(config_of(path / "text_encoder"), path)
    _fill_from(text, part_weights(path, "text_encoder"), dtypes.text_encoder, layout.clip_part, "text encoder", path)
    vae = _folder_vae(path / "vae", part_weights(path, "vae"), dtypes.vae) if own_vae else nn.Identity()
    vocabulary = folder_vocabulary(path / "tokenizer")
    _check_words(vocabulary, text, path)
    scheduler = _scheduler(path)
    return Networks(unet, vae, (TextTower("text_encoder", text, vocabulary, "clip-l"),), _alphas(scheduler, path), _prediction(scheduler, path))


def _check_words(vocabulary: Vocabulary, text_encoder: Any, path: Path) -> None:
    words = text_encoder.config.vocab_size
    if max(vocabulary.start, vocabulary.end, len(vocabulary) - 1) >= words:
        raise BadCheckpoint(f"'{path.name}' does not fit together: its word list has {len(vocabulary)} words, its text encoder {words}.")


def _scheduler(path: Path) -> dict[str, Any]:
    return config_of(path / "scheduler", "scheduler_config.json") if (path / "scheduler").is_dir() else {}


def _folder_vae(folder: Path, files: tuple[Path, ...], dtype: torch.dtype) -> nn.Module:
    config = config_of(folder)
    vae = _vae(config, folder)
    _fill_from(vae, files, dtype, lambda weights: layout.convert_vae(weights, config), "VAE", folder)
    return vae


def _fill_from(module: nn.Module, files: tuple[Path, ...], dtype: torch.dtype, convert: Convert, part: str, path: Path) -> None:
    shapes: dict[str, Tensor] = {}
    for file in files:
        shapes |= _placeholders(read_header(file))
    check(module, convert(shapes), part, path)
    assign(module, convert(read_all(files, dtype)))


def _alphas(scheduler: dict[str, Any], path: Path) -> np.ndarray:
    """The noise levels that the folder's scheduler describes; Stable Diffusion's own where it says nothing."""
    start, end = scheduler.get("beta_start", 0.00085), scheduler.get("beta_end", 0.012)
    count, kind, trained = scheduler.get("num_train_timesteps", 1000), scheduler.get("beta_schedule", "scaled_linear"), scheduler.get("trained_betas")
    try:
        if trained is not None:
            alphas = np.cumprod(1.0 - np.asarray(trained, dtype=np.float64))
        elif kind == "linear":
            alphas = np.cumprod(1.0 - np.linspace(start, end, count, dtype=np.float64))
        elif kind == "scaled_linear":
            alphas = scaled_linear_alphas(start, end, count)
        elif kind == "squaredcos_cap_v2":  # Nichol and Dhariwal 2021, equation 17, betas at most 0.999
            bars = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * math.pi / 2) ** 2
            alphas = np.cumprod(np.maximum(bars[1:] / bars[:-1], 0.001))
        else:
            known = "'scaled_linear', 'linear' and 'squaredcos_cap_v2'"
            raise BadCheckpoint(f"'{path.name}' was trained on the noise schedule '{kind}'; this version knows {known}.")
    except (TypeError, ValueError) as error:
        raise BadCheckpoint(f"'{path.name}/scheduler' cannot be used: {error}.") from None
    if scheduler.get("rescale_betas_zero_snr"):
        roots = np.sqrt(alphas)  # Lin et al. 2024, algorithm 1: shifted so that the last is 0, scaled so that the first stays
        alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    if alphas.ndim != 1 or len(alphas) < 2 or not np.isfinite(alphas).all() or not (np.diff(alphas) < 0).all():
        raise BadCheckpoint(f"'{path.name}/scheduler' cannot be used: its noise levels do not rise.")
    return alphas


def _prediction(scheduler: dict[str, Any], path: Path) -> str:
    found = scheduler.get("prediction_type", "epsilon")
    if found not in ("epsilon", "v_prediction", "sample"):
        raise BadCheckpoint(f"'{path.name}' predicts '{found}'; this version runs models that predict 'epsilon', 'v_prediction' or 'sample'.")
    return str(found)


# ---- single files


def _from_single(file: ModelFile, dtypes: Dtypes, own_vae: bool) -> Networks:
    """Configs, word list and noise levels are SD 1's, or those of the folder that the file names as its base."""
    path, base = file.path, file.base
    header = read_header(path)
    shapes = layout.stripped(_placeholders(header), (layout.UNET,))
    config = _infer(path, lambda: layout.unet_config(lambda name: _shape(shapes, name), shapes))
    config = config_of(base / "unet") | {"in_channels": config["in_channels"]} if base else config
    unet = _unet(config, path)
    check(unet, layout.convert_unet(shapes, config), "UNet", path)
    words = layout.clip_part({name: value for name, value in _placeholders(header).items() if name.startswith("cond_stage_model.")})
    text_config = _infer(path, lambda: layout.text_config(lambda name: _shape(words, name)))
    text = _text_encoder(config_of(base / "text_encoder") if base else text_config, path)
    check(text, words, "text encoder", path)
    vocabulary = folder_vocabulary(base / "tokenizer") if base else clip_vocabulary()
    _check_words(vocabulary, text, path)
    vae = _single_vae(file, header, dtypes.vae) if own_vae else nn.Identity()
    assign(unet, layout.convert_unet(layout.stripped(read_weights(path, dtypes.unet, lambda name: name.startswith(layout.UNET)), (layout.UNET,)), config))
    assign(text, layout.clip_part(read_weights(path, dtypes.text_encoder, lambda name: name.startswith("cond_stage_model."))))
    scheduler = _scheduler(base) if base else {}
    return Networks(unet, vae, (TextTower("text_encoder", text, vocabulary, "clip-l"),), _alphas(scheduler, base or path), _prediction(scheduler, base or path))


def _single_vae(file: ModelFile, header: Header, dtype: torch.dtype) -> nn.Module:
    path = file.path
    prefix = next((prefix for prefix in layout.VAE_PREFIXES if header.shape(prefix + "decoder.conv_in.weight")), None)
    if prefix is None:
        raise BadCheckpoint(f"'{path.name}' has no VAE.", "Choose one in the field VAE.")
    shapes = layout.stripped(_placeholders(header), (prefix,))
    config = _infer(path, lambda: layout.vae_config(lambda name: _shape(shapes, name)))
    config = config_of(file.base / "vae") if file.base else config
    vae = _vae(config, path)
    check(vae, layout.convert_vae(shapes, config), "VAE", path)
    names = {name for name in header.tensors if name.startswith(tuple(prefix + part for part in ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")))}
    assign(vae, layout.convert_vae(layout.stripped(read_weights(path, dtype, names.__contains__), (prefix,)), config))
    return vae


def _infer(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return make()
    except layout.Misfit as error:
        raise BadCheckpoint(f"'{path.name}' is incomplete: {error}.") from None


def _shape(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    return tuple(weights[name].shape) if name in weights else ()


def _placeholders(header: Header) -> dict[str, Tensor]:
    """Tensors without content, for everything that looks at names and shapes only."""
    return {name: torch.empty(entry.shape, device="meta") for name, entry in header.tensors.items()}


# ---- modules


def _unet(config: dict[str, Any], path: Path) -> nn.Module:
    return _build(lambda: UNet2DConditionModel.from_config(config), "UNet", path)


def _vae(config: dict[str, Any], path: Path) -> nn.Module:
    kind = str(config.get("_class_name", "AutoencoderKL"))
    if kind != "AutoencoderKL":
        raise BadCheckpoint(f"'{path.parent.name}/{path.name}' is a VAE of the kind {kind}; this version runs AutoencoderKL.")
    return _build(lambda: AutoencoderKL.from_config(config), "VAE", path)


def _text_encoder(config: dict[str, Any], path: Path) -> Any:
    return _build(lambda: CLIPTextModel(CLIPTextConfig.from_dict(config)), "text encoder", path)


def _build(make: Callable[[], nn.Module], part: str, path: Path) -> nn.Module:
    """A module on the meta device, its buffers on the CPU. A config that cannot be built is the file's fault: BadCheckpoint."""
    try:
        with init_empty_weights(include_buffers=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make().eval().requires_grad_(False)
    except Exception as error:  # border: a foreign file's config decides what is built
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise BadCheckpoint(f"The {part} of '{path.name}' cannot be built: {reason}.") from None


def check(module: nn.Module, weights: Mapping[str, Tensor], part: str, path: Path) -> None:
    """Every weight of the module is there and has its shape. Raises BadCheckpoint naming the first that does not."""
    for name, expected in module.state_dict().items():
        if name not in weights:
            raise BadCheckpoint(f"'{path.name}' is incomplete: its {part} misses the tensor '{name}'.")
        found = tuple(weights[name].shape)
        if found != tuple(expected.shape):
            raise BadCheckpoint(f"'{path.name}' does not fit: '{name}' of its {part} has the shape {found}, but {tuple(expected.shape)} is expected.")


def assign(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Gives a checked module its weights; names that it does not have are left out."""
    own = module.state_dict().keys()
    module.load_state_dict({name: value.contiguous() for name, value in weights.items() if name in own}, assign=True)
    module.requires_grad_(False)


def _check_fit(networks: Networks, file: ModelFile, inputs: int) -> None:
    """The parts belong together: widths, input and latent channels, factor 8."""
    width, expected = networks.text_encoder.config.hidden_size, networks.unet.config.cross_attention_dim
    if width != expected:
        raise BadCheckpoint(f"'{file.path.name}' does not fit together: its text encoder is {width} wide, its UNet expects {expected}.")
    latent, factor = networks.vae.config.latent_channels, 2 ** (len(networks.vae.config.block_out_channels) - 1)
    found, wanted = networks.unet.config.in_channels, networks.unet.config.out_channels
    if found != inputs:
        raise BadCheckpoint(f"The UNet of '{file.path.name}' has {found} input channels, but {inputs} are needed.")
    if latent != wanted or factor != 8:
        raise BadCheckpoint(f"The VAE for '{file.path.name}' makes {latent} channels at 1/{factor} of the size, but {wanted} at 1/8 are needed.")
