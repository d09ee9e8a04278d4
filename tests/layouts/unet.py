"""Names and shapes of UNets: LDM's (`openaimodel.UNetModel`) and diffusers' (`UNet2DConditionModel`) side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

Shape = tuple[int, ...]
Rows = Iterator[tuple[str, str, Shape]]
"""(LDM's name, diffusers' name, shape)"""


@dataclass(frozen=True)
class Unet:
    """What decides a UNet's layout.

    Attributes:
        width: channels of the first level.
        mult: width of each level, in `width`s.
        depth: transformer blocks in each attention of a level; 0: the level has none.
        middle: transformer blocks in the middle.
        context: width of the text's hidden states.
        inputs: 4, or 5 (depth), 7 (x4 upscaler), 8 (InstructPix2Pix), 9 (inpainting).
        linear: proj_in and proj_out are matrices, as in SD 2 and SDXL, not 1x1 convolutions.
        added: width of the vector of sizes and pooled text (SDXL); 0: there is none.
    """

    width: int
    mult: tuple[int, ...]
    depth: tuple[int, ...]
    middle: int
    context: int
    inputs: int = 4
    linear: bool = False
    added: int = 0
    outputs: int = 4
    layers: int = 2


SD1 = Unet(320, (1, 2, 4, 4), (1, 1, 1, 0), 1, 768)
SD2 = replace(SD1, context=1024, linear=True)
SDXL = Unet(320, (1, 2, 4), (0, 2, 10), 10, 2048, linear=True, added=2816)
REFINER = Unet(384, (1, 2, 4, 4), (0, 4, 4, 0), 4, 1280, linear=True, added=2560)


def both(unet: Unet) -> list[tuple[str, str, Shape]]:
    """All rows, in the order in which LDM writes them."""
    return list(_rows(unet))


def ldm(unet: Unet, prefix: str = "model.diffusion_model.") -> dict[str, Shape]:
    return {prefix + name: shape for name, _, shape in _rows(unet)}


def diffusers(unet: Unet) -> dict[str, Shape]:
    return {name: shape for _, name, shape in _rows(unet)}


def config(unet: Unet, sample: int = 64) -> dict[str, object]:
    """What a diffusers folder's unet/config.json says."""
    levels = [unet.width * mult for mult in unet.mult]
    heads = [max(1, width // 64) for width in levels] if unet.linear else 8
    found: dict[str, object] = {
        "_class_name": "UNet2DConditionModel", "in_channels": unet.inputs, "out_channels": unet.outputs, "sample_size": sample,
        "block_out_channels": levels, "layers_per_block": unet.layers, "cross_attention_dim": unet.context, "attention_head_dim": heads,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in unet.depth],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(unet.depth)],
        "use_linear_projection": unet.linear, "norm_num_groups": 32, "act_fn": "silu",
    }  # fmt: skip
    if unet.added:
        found |= {
            "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": unet.added,
            "transformer_layers_per_block": [depth or 1 for depth in unet.depth] if unet.middle != unet.depth[1] else unet.middle,
        }  # fmt: skip
    return found


def _rows(unet: Unet) -> Rows:
    width, time = unet.width, 4 * unet.width
    yield from _pair("time_embed.0", "time_embedding.linear_1", (time, width))
    yield from _pair("time_embed.2", "time_embedding.linear_2", (time, time))
    if unet.added:
        yield from _pair("label_emb.0.0", "add_embedding.linear_1", (time, unet.added))
        yield from _pair("label_emb.0.2", "add_embedding.linear_2", (time, time))
    yield from _pair("input_blocks.0.0", "conv_in", (width, unet.inputs, 3, 3))
    channels, skips = width, [width]
    number = 1
    for level, (mult, depth) in enumerate(zip(unet.mult, unet.depth, strict=True)):
        for layer in range(unet.layers):
            yield from _residual(f"input_blocks.{number}.0", f"down_blocks.{level}.resnets.{layer}", channels, width * mult, time)
            channels = width * mult
            yield from _attention(f"input_blocks.{number}.1", f"down_blocks.{level}.attentions.{layer}", channels, depth, unet)
            skips.append(channels)
            number += 1
        if level < len(unet.mult) - 1:
            yield from _pair(f"input_blocks.{number}.0.op", f"down_blocks.{level}.downsamplers.0.conv", (channels, channels, 3, 3))
            skips.append(channels)
            number += 1
    yield from _residual("middle_block.0", "mid_block.resnets.0", channels, channels, time)
    yield from _attention("middle_block.1", "mid_block.attentions.0", channels, unet.middle, unet)
    yield from _residual("middle_block.2", "mid_block.resnets.1", channels, channels, time)
    yield from _up(unet, channels, skips, time)
    yield from _pair("out.0", "conv_norm_out", (width,))
    yield from _pair("out.2", "conv_out", (unet.outputs, width, 3, 3))


def _up(unet: Unet, channels: int, skips: list[int], time: int) -> Rows:
    number = 0
    for block, (mult, depth) in enumerate(reversed(list(zip(unet.mult, unet.depth, strict=True)))):
        for layer in range(unet.layers + 1):
            yield from _residual(f"output_blocks.{number}.0", f"up_blocks.{block}.resnets.{layer}", channels + skips.pop(), unet.width * mult, time)
            channels = unet.width * mult
            yield from _attention(f"output_blocks.{number}.1", f"up_blocks.{block}.attentions.{layer}", channels, depth, unet)
            if layer == unet.layers and block < len(unet.mult) - 1:
                place = 2 if depth else 1
                yield from _pair(f"output_blocks.{number}.{place}.conv", f"up_blocks.{block}.upsamplers.0.conv", (channels, channels, 3, 3))
            number += 1


def _pair(ldm: str, diffusers: str, shape: Shape, bias: bool = True) -> Rows:
    yield f"{ldm}.weight", f"{diffusers}.weight", shape
    if bias:
        yield f"{ldm}.bias", f"{diffusers}.bias", shape[:1]


def _residual(ldm: str, diffusers: str, given: int, made: int, time: int) -> Rows:
    yield from _pair(f"{ldm}.in_layers.0", f"{diffusers}.norm1", (given,))
    yield from _pair(f"{ldm}.in_layers.2", f"{diffusers}.conv1", (made, given, 3, 3))
    yield from _pair(f"{ldm}.emb_layers.1", f"{diffusers}.time_emb_proj", (made, time))
    yield from _pair(f"{ldm}.out_layers.0", f"{diffusers}.norm2", (made,))
    yield from _pair(f"{ldm}.out_layers.3", f"{diffusers}.conv2", (made, made, 3, 3))
    if given != made:
        yield from _pair(f"{ldm}.skip_connection", f"{diffusers}.conv_shortcut", (made, given, 1, 1))


def _attention(ldm: str, diffusers: str, width: int, depth: int, unet: Unet) -> Rows:
    if not depth:
        return
    projection = (width, width) if unet.linear else (width, width, 1, 1)
    yield from _pair(f"{ldm}.norm", f"{diffusers}.norm", (width,))
    yield from _pair(f"{ldm}.proj_in", f"{diffusers}.proj_in", projection)
    for block in range(depth):
        inside = f"transformer_blocks.{block}"
        for name, context in (("attn1", width), ("attn2", unet.context)):
            for part, size in (("to_q", width), ("to_k", context), ("to_v", context)):
                yield from _pair(f"{ldm}.{inside}.{name}.{part}", f"{diffusers}.{inside}.{name}.{part}", (width, size), bias=False)
            yield from _pair(f"{ldm}.{inside}.{name}.to_out.0", f"{diffusers}.{inside}.{name}.to_out.0", (width, width))
        yield from _pair(f"{ldm}.{inside}.ff.net.0.proj", f"{diffusers}.{inside}.ff.net.0.proj", (8 * width, width))
        yield from _pair(f"{ldm}.{inside}.ff.net.2", f"{diffusers}.{inside}.ff.net.2", (width, 4 * width))
        for name in ("norm1", "norm2", "norm3"):
            yield from _pair(f"{ldm}.{inside}.{name}", f"{diffusers}.{inside}.{name}", (width,))
    yield from _pair(f"{ldm}.proj_out", f"{diffusers}.proj_out", projection)
