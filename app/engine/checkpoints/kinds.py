"""Kind and family of a model file from the names and shapes of its tensors.

The rules do not depend on widths, so tiny models classify like full-size ones. What only counts tell apart (which text
encoder it is) is counted in layers; what only widths tell apart (whose LoRA it is, where it says nothing else) is last.
"""

from app.engine.checkpoints.header import Header
from app.engine.families import FAMILIES

UNET = "model.diffusion_model."
UNETS = (UNET, "unet.", "")
"""What stands before a UNet's names: LDM's, a pipeline's in one file, nothing in files that hold only the UNet."""
BY_INPUTS = {
    ("sd1", 9): "sd1-inpaint", ("sd1", 8): "sd1-ip2p", ("sd2", 9): "sd2-inpaint", ("sd2", 5): "sd2-depth", ("sd2", 7): "sd2-upscaler",
    ("sdxl", 9): "sdxl-inpaint", ("sdxl", 8): "sdxl-ip2p",
}  # fmt: skip
"""(Family with 4 input channels, input channels) -> family of checkpoints with that many."""
TRANSFORMERS = (
    ("hunyuan-video", "txt_in.individual_token_refiner."), ("chroma", "distilled_guidance_layer."), ("flux2", "double_stream_modulation_img."),
    ("flux", "double_blocks."), ("flux", "single_transformer_blocks."), ("sd3", "joint_blocks."), ("auraflow", "double_layers."),
    ("qwen-image", "transformer_blocks.0.img_mlp"), ("z-image", "cap_pad_token"), ("lumina2", "cap_embedder."), ("cascade", "clf.1."),
    ("cascade", "clip_txt_mapper."), ("wan", "blocks.0.cross_attn.norm_k"), ("ltx", "patchify_proj."), ("hunyuan", "mlp_t5."),
    ("hidream", "caption_projection.0.linear."), ("sana", "attention_y_norm."), ("mochi", "t5_yproj."), ("pixart", "adaln_single."),
    ("cosmos", "net.blocks.0."), ("sd3", "transformer_blocks.0.attn.add_q_proj"),
)  # fmt: skip
"""(Family, how a tensor's name begins) of diffusion transformers and other relatives, the more special first."""


def recognise(header: Header) -> tuple[str, str]:
    """(kind, family) of a file. A whole checkpoint is tested for first: a stray LoRA key must not flip it."""
    for row in FAMILIES.values():
        if row.recognise and row.recognise(header):
            return "checkpoint", row.name
    for test in (_whole, _adapter, _controlling, _embedding, _bare, _vae, _upscaler, _part):
        if found := test(header):
            return found
    return "unknown", "unknown"


def unet_prefix(header: Header) -> str | None:
    """What stands before the names of the UNet; None when there is none."""
    return next((prefix for prefix in UNETS if _first(header, prefix)), None)


def inputs_of(header: Header) -> int:
    """Input channels of the UNet, 0 when there is none."""
    prefix = unet_prefix(header)
    return (*_first(header, prefix), 0, 0)[1] if prefix is not None else 0


def _first(header: Header, prefix: str) -> tuple[int, ...]:
    """The shape of a UNet's first layer, in LDM's names or in diffusers'."""
    found = header.shape(prefix + "input_blocks.0.0.weight")
    if not found and header.has(prefix + "down_blocks.0.resnets."):
        found = header.shape(prefix + "conv_in.weight")
    return found if len(found) == 4 else ()


# ---- checkpoints


def _whole(header: Header) -> tuple[str, str] | None:
    """Files whose names say that they are checkpoints, whatever else is in them."""
    held = [prefix for prefix in UNETS[:-1] if header.has(prefix)]
    for prefix in held:
        if family := _unet_family(header, prefix) or _transformer(header, prefix):
            return "checkpoint", family
    return ("checkpoint", "unknown") if UNET in held else None


def _bare(header: Header) -> tuple[str, str] | None:
    """Files that hold a network and nothing else."""
    if family := _unet_family(header, "") or next((found for prefix in ("", "transformer.", "net.") if (found := _transformer(header, prefix))), None):
        return "checkpoint", family
    return None


def _transformer(header: Header, prefix: str) -> str | None:
    return next((family for family, mark in TRANSFORMERS if header.has(prefix + mark)), None)


def _unet_family(header: Header, prefix: str) -> str | None:
    first = _first(header, prefix)
    if not first:
        return None
    if header.holds("time_stack.") or header.holds("temporal_transformer_blocks."):
        return "svd"
    family = _ldm_family(header, prefix) if header.shape(prefix + "input_blocks.0.0.weight") else _diffusers_family(header, prefix)
    if family == "sdxl" and ("edm_mean" in header.tensors or "edm_std" in header.tensors):
        return "playground"
    if family == "sdxl" and header.has("edm_vpred."):
        return "cosxl"
    if family == "sdxl" and (header.has(prefix + "encoder_hid_proj.") or header.has("encoder_hid_proj.")):
        return "kolors"
    if family == "sd1" and first[1] == 8 and header.has("cc_projection."):
        return "zero123"
    return BY_INPUTS.get((family, first[1]), family)


def _ldm_family(header: Header, prefix: str) -> str:
    if header.has(prefix + "label_emb."):
        if header.shape(prefix + "label_emb.weight"):
            return "sd2-upscaler"
        if header.has(prefix + "input_blocks.1.1."):  # SDXL's first level has no attention
            return "sd2-unclip"
        return "sdxl-refiner" if header.has(prefix + "input_blocks.9.0.") else "sdxl"
    if header.has("cond_stage_model.transformer.token_emb."):
        return "ldm"
    return "sd2" if _linear(header, prefix, ("middle_block.1.proj_in.weight", "input_blocks.1.1.proj_in.weight")) else "sd1"


def _diffusers_family(header: Header, prefix: str) -> str:
    if header.has(prefix + "class_embedding."):
        return "sd2-upscaler" if header.shape(prefix + "class_embedding.weight") else "sd2-unclip"
    if header.has(prefix + "add_embedding."):
        return "sdxl-refiner" if header.has(prefix + "down_blocks.3.") else "sdxl"
    return "sd2" if _linear(header, prefix, ("mid_block.attentions.0.proj_in.weight", "down_blocks.0.attentions.0.proj_in.weight")) else "sd1"


def _linear(header: Header, prefix: str, names: tuple[str, ...]) -> bool:
    """Whether the attention's projections are matrices; in SD 1 they are 1x1 convolutions."""
    return next((len(shape) == 2 for name in names if (shape := header.shape(prefix + name))), False)


# ---- what steers or changes a checkpoint


CONTROLS = (
    ("controlnet", ("control_model.", "controlnet_", "input_hint_block.", "lora_controlnet", "lllite_", "controlnet.")),
    ("T2I-Adapter", ("adapter.body.", "body.0.in_conv.", "adapter.conv_in.", "body.0.resnets.0.block1.")),
    ("IP-Adapter", ("ip_adapter.", "image_proj.", "image_proj_model.")),
)  # fmt: skip


def _controlling(header: Header) -> tuple[str, str] | None:
    for kind, marks in CONTROLS:
        if any(header.has(mark) for mark in marks):
            return kind, "unknown"
    return ("motion module", "unknown") if header.holds("motion_modules.") else None


LORA_ENDS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora_B.weight", ".lora.down.weight", "_lora.down.weight", ".lora_linear_layer.down.weight",
    ".hada_w1_a", ".lokr_w1", ".lokr_w1_a", ".lokr_w2", ".diff", ".oft_blocks", ".oft_diag", ".on_input", ".lora_A.default.weight", ".a1.weight",
)  # fmt: skip
LORAS = (
    ("flux", ("double_blocks", "single_blocks", "single_transformer_blocks")), ("sd3", ("joint_blocks",)), ("qwen-image", ("img_mlp", "img_mod")),
    ("cascade", ("lora_prior_",)), ("wan", ("blocks_0_cross_attn", "blocks.0.cross_attn")), ("z-image", ("diffusion_model.layers.", "lora_unet_layers_")),
    ("sd3", ("transformer.transformer_blocks.", "lora_transformer_transformer_blocks_")),
)  # fmt: skip
FIRST_LEVEL = (
    "down_blocks_0_attentions", "down_blocks.0.attentions", "up_blocks_3_attentions", "up_blocks.3.attentions", "input_blocks_1_1_", "input_blocks.1.1.",
)  # fmt: skip
"""Attention that SD 1 and SD 2 have on their first level, and SDXL has not."""
DEEP = ("_transformer_blocks_1_", ".transformer_blocks.1.", "lora_te2_", "text_encoder_2.")
OUTER = ("up_blocks_2_attentions", "up_blocks.2.attentions", "output_blocks_6_1_", "output_blocks.6.1.")
"""Attention that SDXL's refiner has on its second level from the top, and SDXL has not on its top level."""
PROJECTIONS = ("proj_in.lora_down.weight", "proj_out.lora_down.weight", "proj_in.lora_A.weight", "proj_out.lora_A.weight")
WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}
"""Width of the text's hidden states in the real checkpoints -> group."""


def _adapter(header: Header) -> tuple[str, str] | None:
    if not any(name.endswith(LORA_ENDS) for name in header.tensors):
        return None
    names = list(header.tensors)
    sample = "\n".join(names[:: 1 + len(names) // 64])  # what makes a family is in most names of its LoRAs
    for family, marks in LORAS:
        if any(mark in sample for mark in marks):
            return "lora", family
    told = told_family(header.metadata)
    if any(header.holds(mark) for mark in FIRST_LEVEL):
        sides = (len(header.shape(name)) for name in names if name.endswith(PROJECTIONS))
        if (first := next(sides, None)) is not None:
            return "lora", "sd1" if first == 4 or 4 in sides else "sd2"
    elif any(header.holds(mark) for mark in DEEP):
        return "lora", "sdxl-refiner" if any(header.holds(mark) for mark in OUTER) else "sdxl"
    width = context_width(header)
    return "lora", WIDTHS.get(width) or told or ("sd2" if header.holds("te_text_model_encoder_layers_12_") else "sd1")


CONTEXT_ENDS = (
    "lora_down.weight", "lora_A.weight", "lora_A.default.weight", "lora.down.weight", "_lora.down.weight", "hada_w1_b", ".diff", "to_k.weight", "to_v.weight",
)  # fmt: skip


def context_width(header: Header) -> int:
    """Width of the text's hidden states that a UNet reads, or that a LoRA of one was made for; 0 when no layer tells it."""
    for name in header.tensors:
        if "attn2" not in name or not ("to_k" in name or "to_v" in name) or len(shape := header.shape(name)) < 2:
            continue
        if name.endswith(CONTEXT_ENDS):
            return shape[1]
        if name.endswith(("lokr_w1", "lokr_w1_b")):  # a Kronecker product is as wide as both factors' widths multiplied
            layer = name.partition("lokr_w1")[0]
            return shape[1] * max((*header.shape(layer + other), 0, 0)[1] for other in ("lokr_w2", "lokr_w2_b"))
    return 0


ARCHITECTURES = (
    ("stable-diffusion-xl-v1-refiner", "sdxl-refiner"), ("stable-diffusion-xl", "sdxl"), ("stable-diffusion-v2", "sd2"), ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"), ("stable-diffusion-v1", "sd1"), ("flux", "flux"), ("sdxl", "sdxl"), ("sd_xl", "sdxl"), ("sd_v2", "sd2"), ("sd_v1", "sd1"),
    ("sd_1", "sd1"), ("sd_2", "sd2"),
)  # fmt: skip


def told_family(metadata: dict[str, str]) -> str:
    """The family that the file names in its metadata (modelspec, or kohya's scripts), or ""."""
    for key in ("modelspec.architecture", "ss_base_model_version"):
        told = metadata.get(key, "").lower()
        if found := next((family for mark, family in ARCHITECTURES if told.startswith(mark)), ""):
            return found
    return {"True": "sd2", "False": "sd1"}.get(metadata.get("ss_v2", ""), "")


def _embedding(header: Header) -> tuple[str, str] | None:
    """Textual inversions: A1111's, SDXL's two vectors, diffusers' (one tensor under the name of the word)."""
    tensors = header.tensors
    if len(tensors) > 4:
        return None
    if "clip_l" in tensors or "clip_g" in tensors:
        return "embedding", "sdxl"
    for name, tensor in tensors.items():
        words = len(tensor.shape) in (1, 2) and tensor.shape[-1] in WIDTHS and len(tensors) == 1 and not name.endswith((".weight", ".bias"))
        if name == "emb_params" or name.startswith("string_to_param") or words:
            return "embedding", {"sdxl-refiner": "sdxl"}.get(found := WIDTHS.get(tensor.shape[-1] if tensor.shape else 0, "sd1"), found)
    return None


# ---- parts


def _vae(header: Header) -> tuple[str, str] | None:
    for prefix in ("", "first_stage_model.", "vae."):
        if shape := header.shape(prefix + "decoder.conv_in.weight"):
            channels = shape[1] if len(shape) == 4 else 0
            return "vae", {4: told_latents(header), 16: "flux"}.get(channels, "unknown")
    if header.has("decoder.middle.0.residual."):
        return "vae", "wan"
    if header.has("decoder.layers.") or header.shape("1.conv.0.weight") or header.shape("3.conv.0.weight") or header.has("taesd_"):
        return "preview decoder", "unknown"
    return None


def told_latents(header: Header) -> str:
    """"sdxl" when the file says so itself; the shapes of both kinds of VAE are the same."""
    return "sdxl" if told_family(header.metadata).startswith("sdxl") else "sd1"


UPSCALERS = ("conv_first.", "model.0.weight", "body.0.rdb1.", "RRDB_trunk", "params_ema.", "layers.0.residual_group.", "body.0.weight", "conv_before_upsample.")


def _upscaler(header: Header) -> tuple[str, str] | None:
    return ("upscaler", "unknown") if any(header.has(mark) for mark in UPSCALERS) else None


def _part(header: Header) -> tuple[str, str] | None:
    if header.holds("encoder.block.0.layer.0.SelfAttention."):
        return "text encoder", "t5"
    if header.holds("layers.0.self_attn.q_proj.") and not header.holds("encoder.layers.") and header.holds("embed_tokens."):
        return "text encoder", "language-model"
    layers = text_layers(header)
    if layers:
        towers = {_tower(count) for count in layers}
        return "text encoder", "sdxl" if towers == {"sd1", "sdxl-refiner"} else next(iter(towers)) if len(towers) == 1 else "unknown"
    if header.holds("vision_model.") or header.holds("visual."):
        return "CLIP vision model", "unknown"
    return None


def _tower(layers: int) -> str:
    """Whose text encoder has so many layers: CLIP-L's 12, OpenCLIP-H's 23 or 24, OpenCLIP-G's 32 (which alone is the refiner's)."""
    return "sd1" if layers <= 12 else "sd2" if layers <= 24 else "sdxl-refiner"


def text_layers(header: Header) -> list[int]:
    """How many layers each CLIP text encoder in the file has; those of the picture's side are not counted."""
    count: dict[str, int] = {}
    for name in header.tensors:
        for mark, end in ((".layers.", ".mlp.fc1.weight"), (".resblocks.", ".mlp.c_fc.weight")):
            if name.endswith(end) and mark in name and "vision_model." not in name and "visual." not in name:
                prefix = name.partition(mark)[0]
                count[prefix] = count.get(prefix, 0) + 1
    return sorted(count.values())
