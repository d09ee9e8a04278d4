"""Adapters over the layers of a family, in the names that trainers give them."""

from tests.layouts import checkpoints, clip, unet
from tests.layouts.checkpoints import LAYOUTS

Shape = tuple[int, ...]
RANK = 4
FORMS = ("lora", "locon", "loha", "lokr", "dora", "ia3", "full", "oft")


def layers(family: str, small: bool = False, *, convolutions: bool = False, ldm: bool = False) -> dict[str, Shape]:
    """kohya's module names of the UNet's and the text encoders' matrices -> shapes of their weights.

    Args:
        convolutions: with the blocks' 3x3 ones.
        ldm: the UNet's under LDM's names, as kohya's SDXL scripts have it, not diffusers'.
    """
    made = checkpoints.layout(family, small)
    found: dict[str, Shape] = {}
    for theirs, ours, shape in unet.both(made.unet):
        inside = "attentions" in ours
        if not ours.endswith(".weight") or len(shape) < 2 or not (inside or (convolutions and "resnets" in ours)):
            continue
        found["lora_unet_" + (theirs if ldm else ours).removesuffix(".weight").replace(".", "_")] = shape
    for number, (name, (text, *_)) in enumerate(made.texts.items(), 1):
        prefix = f"lora_te{number}_" if len(made.texts) > 1 else "lora_te2_" if name == "text_encoder_2" else "lora_te_"
        for key, shape in clip.huggingface(text).items():
            if "encoder.layers" in key and key.endswith(".weight") and len(shape) == 2:
                found[prefix + key.removesuffix(".weight").replace(".", "_")] = shape
    return found


def kohya(family: str, form: str = "lora", small: bool = False, rank: int = RANK) -> dict[str, Shape]:
    """A LoRA or LyCORIS file in kohya's names; `form` is one of FORMS."""
    found: dict[str, Shape] = {}
    for name, shape in layers(family, small, convolutions=form == "locon", ldm=family.startswith("sdxl")).items():
        found |= {f"{name}.{key}": value for key, value in _factors(form, shape, rank).items()}
    return found


def _factors(form: str, shape: Shape, rank: int) -> dict[str, Shape]:
    made, given, kernel = shape[0], shape[1], shape[2:]
    low = {"lora_down.weight": (rank, given, *kernel), "lora_up.weight": (made, rank, *(1 for _ in kernel)), "alpha": ()}
    match form:
        case "loha":
            return {"hada_w1_a": (made, rank), "hada_w1_b": (rank, given), "hada_w2_a": (made, rank), "hada_w2_b": (rank, given), "alpha": ()}
        case "lokr":
            return {"lokr_w1": (4, 4), "lokr_w2_a": (made // 4, rank), "lokr_w2_b": (rank, given // 4), "alpha": ()}
        case "dora":
            return low | {"dora_scale": (made, *(1 for _ in shape[1:]))}
        case "ia3":
            return {"weight": (made,), "on_input": ()}
        case "full":
            return {"diff": shape}
        case "oft":
            return {"oft_blocks": (4, made // 4, made // 4), "alpha": ()}
        case _:
            return low


def peft(family: str, small: bool = False, rank: int = RANK, *, prefix: str = "unet.") -> dict[str, Shape]:
    """diffusers' names of today: unet.down_blocks....lora_A.weight; with the prefix "base_model.model." PEFT's own."""
    found: dict[str, Shape] = {}
    for _, ours, shape in unet.both(checkpoints.layout(family, small).unet):
        if "transformer_blocks" in ours and ".attn" in ours and ours.endswith(".weight"):
            plain = prefix + ours.removesuffix(".weight")
            found |= {f"{plain}.lora_A.weight": (rank, shape[1]), f"{plain}.lora_B.weight": (shape[0], rank)}
    return found


def old_diffusers(family: str, small: bool = False, rank: int = RANK) -> dict[str, Shape]:
    """diffusers' names of 2023: unet.....attn1.processor.to_q_lora.down.weight."""
    found: dict[str, Shape] = {}
    for _, ours, shape in unet.both(checkpoints.layout(family, small).unet):
        if "transformer_blocks" in ours and ".attn" in ours and ours.endswith(".weight"):
            before, _, layer = ours.removesuffix(".weight").removesuffix(".0").rpartition(".")
            plain = f"unet.{before}.processor.{layer}_lora"
            found |= {f"{plain}.down.weight": (rank, shape[1]), f"{plain}.up.weight": (shape[0], rank)}
    return found


def groups() -> list[str]:
    """The families for which LoRAs are made."""
    return [name for name in LAYOUTS if name in ("sd1", "sd2", "sdxl")]
