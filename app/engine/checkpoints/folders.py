"""What a diffusers folder is, from its configs and the headers of its weights."""

from dataclasses import replace
from pathlib import Path

from app.engine.checkpoints.describe import precision_of
from app.engine.checkpoints.hashes import Hashes
from app.engine.checkpoints.header import Header, ModelFile, config_of, parts_of, read_header, weight_files
from app.engine.checkpoints.kinds import BY_INPUTS, recognise
from app.engine.checkpoints.problems import PICKLE_CURE, family_problem, inputs_problem, usual_side
from app.engine.checkpoints.sidecars import Beside, Neighbours, read_sidecar
from app.engine.checkpoints.traits import Prediction, plain_prediction, variant_of
from app.engine.families import group_of
from app.engine.prompt.vocabulary import CLIP_WORDS
from app.errors import BadCheckpoint

STEMS = {part: stems for parts, stems in (
    (("unet", "vae"), ("diffusion_pytorch_model",)), (("text_encoder", "text_encoder_2", ""), ("model", "pytorch_model")),
) for part in parts}  # fmt: skip
"""Part of a folder -> how its weights are called; "" is a folder that is one text encoder."""
PIPELINES = (
    ("Flux", "flux"), ("StableDiffusion3", "sd3"), ("PixArt", "pixart"), ("HunyuanVideo", "hunyuan-video"), ("Hunyuan", "hunyuan"), ("Wan", "wan"),
    ("QwenImage", "qwen-image"), ("ZImage", "z-image"), ("Lumina", "lumina2"), ("StableCascade", "cascade"), ("AuraFlow", "auraflow"), ("Sana", "sana"),
    ("Kolors", "kolors"), ("LTX", "ltx"), ("StableVideo", "svd"), ("StableUnCLIP", "sd2-unclip"), ("StableDiffusionUpscale", "sd2-upscaler"),
    ("Chroma", "chroma"), ("HiDream", "hidream"), ("Kandinsky", "kandinsky"), ("Latte", "latte"), ("Cosmos", "cosmos"), ("Mochi", "mochi"),
)  # fmt: skip
"""How the pipeline's class begins -> family."""
TEXTS = {"sdxl": ("text_encoder", "text_encoder_2"), "sdxl-refiner": ("text_encoder_2",)}


def is_model_folder(path: Path) -> str:
    """"checkpoint" for a diffusers pipeline, "vae" and "text encoder" for a folder that is one, "" for any other."""
    if (path / "model_index.json").is_file() or (path / "unet" / "config.json").is_file():
        return "checkpoint"
    if (path / "config.json").is_file():
        try:
            config = config_of(path)
        except BadCheckpoint:
            return ""
        return "vae" if "AutoencoderKL" in str(config.get("_class_name")) else "text encoder" if "CLIPTextModel" in str(config.get("architectures")) else ""
    return ""


def part_weights(folder: Path, part: str) -> tuple[Path, ...]:
    """The weight files of a part of a diffusers folder: .safetensors, else PyTorch's own. Raises BadCheckpoint when there is none."""
    if found := weight_files(folder / part, STEMS[part]):
        return found
    raise BadCheckpoint(f"'{f'{folder.name}/{part}'.rstrip('/')}' has no .safetensors file with weights.")


def inspect_folder(path: Path, name: str, hashes: Hashes | None = None, pickles: bool = False, beside: Beside | None = None) -> ModelFile:
    """What a diffusers pipeline folder is. Never raises: what is wrong with it is in `problem`.

    Args:
        pickles: whether PyTorch's own files are opened.
        beside: what lies in it and beside it; None: look.
    """
    family, native, problem, precision, inputs, width = "unknown", 512, "", "", 0, 0
    weights, missing, prediction, variant = list[Path](), tuple[str, ...](), Prediction(), variant_of(path.name)
    try:
        unet = config_of(path / "unet") if (path / "unet").is_dir() else {}
        family = _family(path, unet)
        problem = family_problem(path.name, family)
        native = _native(path, unet, usual_side(family))
        if not problem:
            inputs, width = _number(unet.get("in_channels"), 4), _number(unet.get("cross_attention_dim"), 0)
            problem = inputs_problem(path.name, family, inputs)
            prediction, distilled = _scheduler(path)
            variant = variant or ("lcm" if distilled or unet.get("time_cond_proj_dim") else "")
            present, missing = _parts(path, family)
            for part in present:
                config_of(path / part)
                weights += part_weights(path, part)
            headers = [_header(file, pickles) for file in weights]
            precision = precision_of(headers[0])
            _need_words(path, present)
    except BadCheckpoint as error:
        problem = str(error)
    found = ModelFile(
        name, path, "checkpoint", family, problem, _size(weights), native, tuple(weights), hashes, precision, prediction=prediction.kind,
        zero_snr=prediction.zero_snr, inputs=inputs, width=width, variant=variant, missing=missing,
    )  # fmt: skip
    return _with_neighbours(found, beside)


def _with_neighbours(file: ModelFile, beside: Beside | None) -> ModelFile:
    beside = beside or Neighbours().of(file.path, is_folder=True)
    sidecar = read_sidecar(beside.sidecars)
    words = tuple(dict.fromkeys(word for part in sidecar.activation.split(",") if (word := part.strip())))[:12]
    return replace(file, preview=beside.preview, sidecar=sidecar, label=sidecar.title, description=sidecar.description, triggers=words)


def _size(weights: list[Path]) -> int:
    try:
        return sum(file.stat().st_size for file in weights)
    except OSError:
        return 0


def _number(value: object, usual: int) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**20 else usual


def _header(path: Path, pickles: bool) -> Header:
    if path.suffix == ".safetensors":
        return read_header(path)
    if not pickles:
        raise BadCheckpoint(f"'{path.parent.parent.name}/{path.parent.name}' holds PyTorch pickles ({path.name}), which can run code when opened.", PICKLE_CURE)
    from app.engine.checkpoints.pickles import pickle_header

    return pickle_header(path)


def _parts(path: Path, family: str) -> tuple[list[str], tuple[str, ...]]:
    """(parts that are there, what is missing)."""
    texts = TEXTS.get(group_of(family), ("text_encoder",))
    if missing := [part for part in texts if not (path / part).is_dir()]:
        texts = tuple(part for part in texts if part not in missing)
    vae = (path / "vae").is_dir()
    lacks = (("text encoder",) if missing else ()) + (() if vae else ("VAE",))
    return ["unet", *(("vae",) if vae else ()), *texts], lacks


def _need_words(path: Path, present: list[str]) -> None:
    """A text encoder with other words than CLIP's needs its list of them."""
    for part in present:
        if not part.startswith("text_encoder") or config_of(path / part).get("vocab_size", CLIP_WORDS) == CLIP_WORDS:
            continue
        folder = path / part.replace("text_encoder", "tokenizer")
        if not (folder / "tokenizer.json").is_file() and not ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
            words = f"({folder.name}/vocab.json with merges.txt, or {folder.name}/tokenizer.json)"
            raise BadCheckpoint(f"'{path.name}' has no word list {words}, and its words are not CLIP's.")


def _family(path: Path, unet: dict[str, object]) -> str:
    index = config_of(path, "model_index.json") if (path / "model_index.json").is_file() else {}
    pipeline = str(index.get("_class_name", ""))
    for mark, family in PIPELINES:
        if pipeline.startswith(mark):
            return family
    if not unet:
        return "unknown"
    if unet.get("addition_embed_type") == "text_time":
        listed = set(parts_of(index))
        first = "text_encoder" in listed if listed else (path / "text_encoder").is_dir()
        wide = len(blocks) if isinstance(blocks := unet.get("block_out_channels"), list) else 3
        family = "sdxl" if first or wide <= 3 else "sdxl-refiner"
        scheduler = _scheduler_config(path)
        if "EDM" in f"{index.get('scheduler')} {scheduler.get('_class_name')}":
            return "cosxl" if scheduler.get("prediction_type") == "v_prediction" else "playground"
    else:
        family = "sd2" if unet.get("use_linear_projection") else "sd1"
    return BY_INPUTS.get((family, _number(unet.get("in_channels"), 4)), family)


def _scheduler(path: Path) -> tuple[Prediction, bool]:
    """(what the UNet predicts, whether the scheduler is for few steps)."""
    config = _scheduler_config(path)
    if not config:
        return Prediction(), False
    told = str(config.get("prediction_type", "epsilon"))
    found = Prediction(plain_prediction(told) or told[:40], bool(config.get("rescale_betas_zero_snr")))
    return found, str(config.get("_class_name", "")) in ("LCMScheduler", "TCDScheduler")


def _scheduler_config(path: Path) -> dict[str, object]:
    """What a folder's scheduler is told, {} when it has none. Raises BadCheckpoint."""
    name = "scheduler_config.json"
    return config_of(path / "scheduler", name) if (path / "scheduler" / name).is_file() else {}


def _native(path: Path, unet: dict[str, object], usual: int) -> int:
    sample = unet.get("sample_size")
    if not isinstance(sample, int):
        return usual
    blocks = config_of(path / "vae").get("block_out_channels") if (path / "vae" / "config.json").is_file() else None
    factor = 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else 8
    return sample * factor if 64 <= sample * factor <= 4096 else usual


def native_of_base(base: Path, usual: int) -> int:
    """The side that a folder checkpoint draws at, for the files that name it as their base."""
    try:
        return _native(base, config_of(base / "unet"), usual)
    except BadCheckpoint:
        return usual


def inspect_vae_folder(path: Path, name: str, hashes: Hashes | None = None, pickles: bool = False, beside: Beside | None = None) -> ModelFile:
    """What a folder with a diffusers VAE is. Never raises."""
    weights: tuple[Path, ...] = ()
    family, problem, precision = "unknown", "", ""
    try:
        config = config_of(path)
        if config.get("latent_channels", 4) == 4:
            family = "sdxl" if config.get("scaling_factor") == 0.13025 else "sd1"
        problem = family_problem(path.name, family, "VAE")
        weights = weight_files(path, STEMS["vae"])
        if not weights:
            raise BadCheckpoint(f"'{path.name}' has no .safetensors file with weights.")
        precision = precision_of(_header(weights[0], pickles))
    except BadCheckpoint as error:
        problem = str(error)
    return _with_neighbours(ModelFile(name, path, "vae", family, problem, _size(list(weights)), 512, weights, hashes, precision), beside)


def inspect_text_folder(path: Path, name: str, hashes: Hashes | None = None, pickles: bool = False, beside: Beside | None = None) -> ModelFile:
    """What a folder with a CLIP text encoder is. Never raises."""
    weights: tuple[Path, ...] = ()
    family, problem, precision = "unknown", "", ""
    try:
        weights = part_weights(path, "")
        header = _header(weights[0], pickles)
        family, precision = recognise(header)[1], precision_of(header)
        problem = family_problem(path.name, family, "text encoder")
    except BadCheckpoint as error:
        problem = str(error)
    return _with_neighbours(ModelFile(name, path, "text encoder", family, problem, _size(list(weights)), 512, weights, hashes, precision), beside)


