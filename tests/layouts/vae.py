"""Names and shapes of the VAE: LDM's (`AutoencoderKL`) and diffusers' side by side."""

from collections.abc import Iterator

Shape = tuple[int, ...]
Rows = Iterator[tuple[str, str, Shape]]
MULT = (1, 2, 4, 4)
LAYERS = 2


def ldm(width: int = 128, prefix: str = "first_stage_model.", latents: int = 4) -> dict[str, Shape]:
    return {prefix + name: shape for name, _, shape in _rows(width, latents)}


def diffusers(width: int = 128, latents: int = 4) -> dict[str, Shape]:
    """Today's names; in the middle's attention matrices where LDM has 1x1 convolutions."""
    return {name: shape[:2] if ".attentions." in name else shape for _, name, shape in _rows(width, latents)}


def old_diffusers(width: int = 128) -> dict[str, Shape]:
    """diffusers' names before 0.14: query, key, value, proj_attn."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    return {next((name.replace(new, was) for new, was in old.items() if new in name), name): shape for name, shape in diffusers(width).items()}


def config(width: int = 128, factor: float = 0.18215, latents: int = 4) -> dict[str, object]:
    """What a diffusers folder's vae/config.json says."""
    return {
        "_class_name": "AutoencoderKL", "block_out_channels": [width * mult for mult in MULT], "layers_per_block": LAYERS, "latent_channels": latents,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "in_channels": 3, "out_channels": 3,
        "norm_num_groups": 32, "sample_size": 512, "scaling_factor": factor, "act_fn": "silu",
    }  # fmt: skip


def _rows(width: int, latents: int) -> Rows:
    last = width * MULT[-1]
    yield from _pair("encoder.conv_in", "encoder.conv_in", (width, 3, 3, 3))
    channels = width
    for level, mult in enumerate(MULT):
        for layer in range(LAYERS):
            yield from _residual(f"encoder.down.{level}.block.{layer}", f"encoder.down_blocks.{level}.resnets.{layer}", channels, width * mult)
            channels = width * mult
        if level < len(MULT) - 1:
            yield from _pair(f"encoder.down.{level}.downsample.conv", f"encoder.down_blocks.{level}.downsamplers.0.conv", (channels, channels, 3, 3))
    yield from _middle("encoder", last)
    yield from _pair("encoder.norm_out", "encoder.conv_norm_out", (last,))
    yield from _pair("encoder.conv_out", "encoder.conv_out", (2 * latents, last, 3, 3))
    yield from _pair("decoder.conv_in", "decoder.conv_in", (last, latents, 3, 3))
    yield from _middle("decoder", last)
    for block, level in enumerate(reversed(range(len(MULT)))):
        for layer in range(LAYERS + 1):
            yield from _residual(f"decoder.up.{level}.block.{layer}", f"decoder.up_blocks.{block}.resnets.{layer}", channels, width * MULT[level])
            channels = width * MULT[level]
        if level:
            yield from _pair(f"decoder.up.{level}.upsample.conv", f"decoder.up_blocks.{block}.upsamplers.0.conv", (channels, channels, 3, 3))
    yield from _pair("decoder.norm_out", "decoder.conv_norm_out", (width,))
    yield from _pair("decoder.conv_out", "decoder.conv_out", (3, width, 3, 3))
    yield from _pair("quant_conv", "quant_conv", (2 * latents, 2 * latents, 1, 1))
    yield from _pair("post_quant_conv", "post_quant_conv", (latents, latents, 1, 1))


def _pair(ldm: str, diffusers: str, shape: Shape) -> Rows:
    yield f"{ldm}.weight", f"{diffusers}.weight", shape
    yield f"{ldm}.bias", f"{diffusers}.bias", shape[:1]


def _residual(ldm: str, diffusers: str, given: int, made: int) -> Rows:
    yield from _pair(f"{ldm}.norm1", f"{diffusers}.norm1", (given,))
    yield from _pair(f"{ldm}.conv1", f"{diffusers}.conv1", (made, given, 3, 3))
    yield from _pair(f"{ldm}.norm2", f"{diffusers}.norm2", (made,))
    yield from _pair(f"{ldm}.conv2", f"{diffusers}.conv2", (made, made, 3, 3))
    if given != made:
        yield from _pair(f"{ldm}.nin_shortcut", f"{diffusers}.conv_shortcut", (made, given, 1, 1))


def _middle(half: str, width: int) -> Rows:
    yield from _residual(f"{half}.mid.block_1", f"{half}.mid_block.resnets.0", width, width)
    yield from _pair(f"{half}.mid.attn_1.norm", f"{half}.mid_block.attentions.0.group_norm", (width,))
    for ldm, diffusers in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        yield from _pair(f"{half}.mid.attn_1.{ldm}", f"{half}.mid_block.attentions.0.{diffusers}", (width, width, 1, 1))
    yield from _residual(f"{half}.mid.block_2", f"{half}.mid_block.resnets.1", width, width)
