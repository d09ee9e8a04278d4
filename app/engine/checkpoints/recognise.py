"""Kind and family of a model from the names and shapes of its tensors, or from a diffusers folder's configs.

The rules do not depend on widths, so tiny models classify like full-size ones.
"""

from collections.abc import Callable
from pathlib import Path

from app.engine.checkpoints.describe import BASE_KEY, base_of, description_of, precision_of, title_of, triggers_of
from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import Header, ModelFile, config_of, native_side, parts_of, read_header, weight_files
from app.engine.families import FAMILIES
from app.engine.prompt.vocabulary import CLIP_WORDS
from app.errors import BadCheckpoint

UNET = "model.diffusion_model."
LABELS = {
    "sd1": "an SD 1.x", "sd2": "an SD 2.x", "sdxl": "an SDXL", "sdxl-refiner": "an SDXL refiner", "sd3": "an SD 3", "flux": "a Flux", "auraflow": "an AuraFlow",
    "pixart": "a PixArt", "hunyuan": "a Hunyuan", "wan": "a Wan", "qwen-image": "a Qwen-Image", "cascade": "a Stable Cascade", "unknown": "an unknown",
}
BY_INPUTS = {
    ("sd1", 9): "sd1-inpaint", ("sd1", 8): "sd1-ip2p", ("sd2", 9): "sd2-inpaint", ("sd2", 5): "sd2-depth",
    ("sdxl", 9): "sdxl-inpaint", ("sdxl", 8): "sdxl-ip2p",
}
"""(Family with 4 input channels, input channels) -> family of checkpoints with that many."""
INPUTS = {9: "an inpainting model", 8: "an instruct-pix2pix model", 5: "a depth model", 7: "an upscaler"}
PICKLES = {".ckpt", ".pt", ".pth", ".bin"}


def family_problem(name: str, family: str, noun: str = "model") -> str:
    """One sentence when a family cannot be run, else ""."""
    if family in FAMILIES:
        return ""
    runs = ", ".join(row.label for row in FAMILIES.values() if row.group in ("", row.name))
    return f"'{name}' is {LABELS.get(family, 'a ' + family)} {noun}; this version runs {runs} models."


def usual_side(family: str) -> int:
    """The side in pixels that a family usually draws at."""
    return FAMILIES[family].native if family in FAMILIES else 1024


def recognise(header: Header) -> tuple[str, str]:
    """(kind, family) of a safetensors file. A whole checkpoint is tested for first: a stray LoRA key must not flip it."""
    for row in FAMILIES.values():
        if row.recognise and row.recognise(header):
            return "checkpoint", row.name
    for test in (_checkpoint, _network_of_other_kind, _adapter, _embedding, _vae, _part):
        if found := test(header):
            return found
    return "unknown", "unknown"


def _checkpoint(header: Header) -> tuple[str, str] | None:
    if not header.has(UNET):
        return None
    family = _unet_family(header, UNET) or _other_family(header, UNET) or "unknown"
    channels = (*header.shape(UNET + "input_blocks.0.0.weight"), 4, 4)[1]
    return "checkpoint", BY_INPUTS.get((family, channels), family)


def _unet_family(header: Header, prefix: str) -> str | None:
    """SD1, SD2, SDXL or its refiner, from the UNet's LDM keys."""
    if not header.shape(prefix + "input_blocks.0.0.weight"):
        return None
    if header.has(prefix + "label_emb"):
        return "sdxl-refiner" if header.has(prefix + "input_blocks.9.0.") else "sdxl"
    return "sd2" if len(header.shape(prefix + "middle_block.1.proj_in.weight")) == 2 else "sd1"


MARKS = (
    ("flux", "double_blocks."), ("sd3", "joint_blocks."), ("auraflow", "double_layers."), ("qwen-image", "transformer_blocks.0.img_mlp"),
    ("cascade", "clf.1."), ("wan", "blocks.0.cross_attn.norm_k"), ("pixart", "adaln_single."),
)


def _other_family(header: Header, prefix: str) -> str | None:
    return next((family for family, mark in MARKS if header.has(prefix + mark)), None)


def _network_of_other_kind(header: Header) -> tuple[str, str] | None:
    if header.has("control_model.") or header.has("controlnet_cond_embedding.") or header.has("controlnet_"):
        return "controlnet", "unknown"
    if family := _unet_family(header, ""):
        return "unet", family
    if family := _other_family(header, ""):
        return "checkpoint", family
    return None


LORA_ENDS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora.down.weight", "_lora.down.weight", ".lora_linear_layer.down.weight",
    ".hada_w1_a", ".lokr_w1", ".lokr_w1_a", ".diff", ".oft_blocks",
)


def _adapter(header: Header) -> tuple[str, str] | None:
    if not any(name.endswith(LORA_ENDS) for name in header.tensors):
        return None
    names = header.tensors
    if any("double_blocks" in name or "single_transformer_blocks" in name for name in names):
        return "lora", "flux"
    deep = any("_transformer_blocks_1_" in name or ".transformer_blocks.1." in name for name in names)
    if deep or header.has("lora_te2_") or header.has("text_encoder_2."):
        return "lora", "sdxl"
    keys = [tensor.shape for name, tensor in names.items() if "attn2" in name and "to_k" in name and ("down" in name or "_A" in name)]
    context = {shape[1] for shape in keys if len(shape) > 1}
    return "lora", next((family for width, family in ((2048, "sdxl"), (1024, "sd2")) if width in context), "sd1")


def _embedding(header: Header) -> tuple[str, str] | None:
    if len(header.tensors) > 4:
        return None
    if "clip_l" in header.tensors or "clip_g" in header.tensors:
        return "embedding", "sdxl"
    if "emb_params" in header.tensors:
        return "embedding", {1024: "sd2", 1280: "sdxl"}.get(header.shape("emb_params")[-1:] and header.shape("emb_params")[-1], "sd1")
    return None


def _vae(header: Header) -> tuple[str, str] | None:
    for prefix in ("", "first_stage_model.", "vae."):
        if shape := header.shape(prefix + "decoder.conv_in.weight"):
            return "vae", "sd1" if shape[1:2] == (4,) else ("flux" if shape[1:2] == (16,) else "unknown")
    return None


def _part(header: Header) -> tuple[str, str] | None:
    if header.has("down_blocks.") and header.shape("conv_in.weight"):
        return "unet", "unknown"
    if header.has("text_model.encoder.") or header.has("encoder.layers.0.self_attn"):
        return "text encoder", "unknown"
    return None


def inspect_file(path: Path, name: str, expected: str, hashes: Hashes | None = None, bases: Path | None = None) -> ModelFile:
    """What one file is. Never raises: what is wrong with it is in `problem`, and its kind then is `expected`.

    Args:
        bases: models/embedded, where the folders lie that files may name as their base.
    """
    try:
        size = path.stat().st_size
        if path.suffix.lower() in PICKLES:
            raise BadCheckpoint(f"'{path.name}' is a PyTorch pickle, which can run code when opened.", "Convert it to .safetensors.")
        header = read_header(path)
    except OSError as error:
        return ModelFile(name, path, expected, "unknown", f"'{path.name}' cannot be read: {error.strerror}.", 0, 512, (), hashes)
    except BadCheckpoint as error:
        return ModelFile(name, path, expected, "unknown", str(error), size, 512, (path,), hashes)
    kind, family = recognise(header)
    base, problem = base_of(path.name, header.metadata, bases) if kind in ("checkpoint", "vae") else (None, "")
    problem = problem or file_problem(path.name, kind, family, header)
    native = native_side(header.metadata, _base_native(base, usual_side(family)))
    return ModelFile(
        name, path, kind, family, problem, size, native, (path,), hashes, precision_of(header),
        title_of(header.metadata), description_of(header.metadata), triggers_of(header.metadata), base=base,
    )  # fmt: skip


def _base_native(base: Path | None, usual: int) -> int:
    try:
        return _folder_native(base, config_of(base / "unet"), usual) if base else usual
    except BadCheckpoint:
        return usual


def file_problem(name: str, kind: str, family: str, header: Header) -> str:
    """Why a readable file cannot be used, or ""."""
    match kind:
        case "unknown":
            return f"'{name}' is a safetensors file, but not of a kind that Darkroom knows."
        case "unet":
            return f"'{name}' holds only a UNet, without text encoder and VAE; Darkroom needs the whole checkpoint."
        case "checkpoint" if family in FAMILIES and FAMILIES[family].recognise:
            return ""
        case "checkpoint" | "vae" | "lora" | "embedding":
            nouns = {"checkpoint": "model", "vae": "VAE", "lora": "LoRA", "embedding": "embedding"}
            return family_problem(name, family, nouns[kind]) or (_checkpoint_problem(name, header) if kind == "checkpoint" else "")
        case _:
            return f"'{name}' is a {kind}, not a checkpoint."


def _checkpoint_problem(name: str, header: Header) -> str:
    channels = (*header.shape(UNET + "input_blocks.0.0.weight"), 4, 4)[1]
    if channels not in (4, 5, 8, 9):
        return _inputs_problem(name, channels)
    if not header.has("cond_stage_model.") and not header.has("conditioner."):
        return f"'{name}' has no text encoder (no tensor starts with 'cond_stage_model.'); Darkroom needs the whole checkpoint."
    words = next((tensor.shape[0] for key, tensor in header.tensors.items() if key.endswith("embeddings.token_embedding.weight") and tensor.shape), CLIP_WORDS)
    if words != CLIP_WORDS and BASE_KEY not in header.metadata:
        return f"'{name}' knows {words} words, not CLIP's {CLIP_WORDS}, and does not say whose (metadata '{BASE_KEY}'); such a model needs a diffusers folder."
    return ""


def _inputs_problem(name: str, channels: object) -> str:
    kind = INPUTS.get(channels, "a special model") if isinstance(channels, int) else "a special model"
    return f"'{name}' is {kind} with {channels} input channels; this version runs models with 4, 5, 8 or 9."


def is_model_folder(path: Path) -> str:
    """"checkpoint" for a diffusers pipeline, "vae" for a diffusers VAE, "" for any other folder."""
    if (path / "model_index.json").is_file() or (path / "unet" / "config.json").is_file():
        return "checkpoint"
    if (path / "config.json").is_file():
        try:
            return "vae" if "AutoencoderKL" in str(config_of(path).get("_class_name")) else ""
        except BadCheckpoint:
            return ""
    return ""


PIPELINES = (
    ("Flux", "flux"), ("StableDiffusion3", "sd3"), ("PixArt", "pixart"), ("Hunyuan", "hunyuan"), ("Wan", "wan"), ("Qwen", "qwen-image"),
    ("StableCascade", "cascade"),
)
STEMS = {"unet": ("diffusion_pytorch_model",), "vae": ("diffusion_pytorch_model",), "text_encoder": ("model", "pytorch_model")}


def part_weights(folder: Path, part: str) -> tuple[Path, ...]:
    """The weight files of a part of a diffusers folder. Raises BadCheckpoint when there is none."""
    if found := weight_files(folder / part, STEMS[part]):
        return found
    if any((folder / part).glob("*.bin")):
        raise BadCheckpoint(f"'{folder.name}/{part}' holds PyTorch pickles (.bin), which can run code when opened.", "Convert them to .safetensors.")
    raise BadCheckpoint(f"'{folder.name}/{part}' has no .safetensors file with weights.")


def inspect_folder(path: Path, name: str, hashes: Hashes | None = None) -> ModelFile:
    """What a diffusers pipeline folder is. Never raises: what is wrong with it is in `problem`."""
    family, native, problem = "unknown", 512, ""
    precision, weights = "", list[Path]()
    try:
        config = config_of(path / "unet") if (path / "unet").is_dir() else {}
        family = _folder_family(path, config)
        problem = family_problem(path.name, family)
        native = _folder_native(path, config, usual_side(family))
        if not problem:
            if (channels := config.get("in_channels", 4)) not in (4, 5, 8, 9):
                problem = _inputs_problem(path.name, channels)
            for part in ("unet", "vae", "text_encoder"):
                config_of(path / part)
                weights += part_weights(path, part)
            headers = [read_header(file) for file in weights]
            precision = precision_of(headers[0])
            _need_tokenizer(path)
    except BadCheckpoint as error:
        problem = str(error)
    size = sum(file.stat().st_size for file in weights if file.is_file())
    return ModelFile(name, path, "checkpoint", family, problem, size, native, tuple(weights), hashes, precision)


def _need_tokenizer(path: Path) -> None:
    folder = path / "tokenizer"
    if not (folder / "tokenizer.json").is_file() and not ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
        raise BadCheckpoint(f"'{path.name}' has no word list (tokenizer/vocab.json with merges.txt, or tokenizer/tokenizer.json).")


def _folder_family(path: Path, unet: dict[str, object]) -> str:
    index = config_of(path, "model_index.json") if (path / "model_index.json").is_file() else {}
    pipeline = str(index.get("_class_name", ""))
    for mark, family in PIPELINES:
        if pipeline.startswith(mark):
            return family
    if not unet:
        return "unknown"
    if unet.get("addition_embed_type") == "text_time" or "text_encoder_2" in set(parts_of(index)):
        family = "sdxl" if "text_encoder" in set(parts_of(index)) else "sdxl-refiner"
        return BY_INPUTS.get((family, unet.get("in_channels", 4)), family)
    family = "sd2" if unet.get("use_linear_projection") else "sd1"
    return BY_INPUTS.get((family, unet.get("in_channels", 4)), family)


def _folder_native(path: Path, unet: dict[str, object], usual: int) -> int:
    sample = unet.get("sample_size")
    if not isinstance(sample, int):
        return usual
    blocks = config_of(path / "vae").get("block_out_channels") if (path / "vae" / "config.json").is_file() else None
    factor = 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else 8
    return sample * factor if 64 <= sample * factor <= 4096 else usual


def inspect_vae_folder(path: Path, name: str, hashes: Hashes | None = None) -> ModelFile:
    """What a folder with a diffusers VAE is. Never raises."""
    weights: tuple[Path, ...] = ()
    family = "sd1" if config_of(path).get("latent_channels", 4) == 4 else "unknown"
    problem = family_problem(path.name, family, "VAE")
    try:
        weights = weight_files(path, STEMS["vae"])
        if not weights:
            raise BadCheckpoint(f"'{path.name}' has no .safetensors file with weights.")
        for file in weights:
            read_header(file)
    except BadCheckpoint as error:
        problem = str(error)
    return ModelFile(name, path, "vae", family, problem, sum(file.stat().st_size for file in weights), 512, weights, hashes)


INSPECT_FOLDER: dict[str, Callable[..., ModelFile]] = {"checkpoint": inspect_folder, "vae": inspect_vae_folder}
