"""The shapes of the embedded checkpoint's three networks: Stable Diffusion 1's layout, scaled down.

SD1's layout is kept to the letter (four levels, two residual blocks each, 8 heads, convolutions as transformer
projections) so that whatever reads SD1 files reads these too. The only departure is the autoencoder's
`norm_num_groups`, since 32 groups need at least 32 channels at full resolution.
"""

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

PICTURE_SIZE = 128
LATENT_CHANNELS = 4
LATENT_SIZE = 16
CONTEXT_LENGTH = 77
CONTEXT_WIDTH = 128
SCALING_FACTOR = 0.18215
"""SD1's own: the latent whitening is folded into the autoencoder so that mean 0 and deviation 1 come out after it."""

VAE_WIDTHS = (16, 32, 64, 96)
VAE_GROUPS = 4
UNET_WIDTHS = (64, 96, 128, 96)
UNET_GROUPS = 32
HEADS = 8


def make_vae(widths: tuple[int, ...] = VAE_WIDTHS, groups: int = VAE_GROUPS) -> AutoencoderKL:
    """Autoencoder, factor 8: pictures (n, 3, 8h, 8w) in [-1, 1] <-> latents (n, 4, h, w)."""
    levels = len(widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=groups,
        sample_size=PICTURE_SIZE,
        scaling_factor=SCALING_FACTOR,
    )


def make_unet(widths: tuple[int, ...] = UNET_WIDTHS, context_width: int = CONTEXT_WIDTH) -> UNet2DConditionModel:
    """Noise predictor: latents (n, 4, h, w), timesteps (n,) in 0..999, text states (n, 77, c) -> noise (n, 4, h, w)."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=widths,
        layers_per_block=2,
        cross_attention_dim=context_width,
        attention_head_dim=HEADS,
        norm_num_groups=UNET_GROUPS,
    )


def make_text_encoder(vocabulary: int, start: int, end: int, width: int = CONTEXT_WIDTH, layers: int = 2) -> CLIPTextModel:
    """Text encoder: token ids (n, 77) -> states (n, 77, width); `start`, `end` are the marker ids, padding is `end`."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 4,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        projection_dim=width,
        hidden_act="quick_gelu",
    )
    return CLIPTextModel(config)


def count_parameters(module: object) -> int:
    """Number of trained values."""
    return sum(value.numel() for value in module.parameters())  # type: ignore[attr-defined]
