"""The depth of a picture, as Stable Diffusion 2 depth reads it: estimated by the checkpoint's own network, or handed in."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from app.engine.scene import Scene
from app.errors import BadRequest

ESTIMATOR = "depth_estimator"
"""The network's key in `Placement` and in `Networks.extras`: transformers' DPTForDepthEstimation (MiDaS, Ranftl et al. 2021)."""


def as_channel(model: Any, scene: Scene) -> Tensor:
    """(1,1,H/8,W/8) float32: the depth at the size of the latents, from -1 (farthest) to 1 (nearest).

    Raises:
        BadRequest: no depth map was handed in, and the checkpoint cannot estimate one.
    """
    height, width = (side // model.latent_factor for side in scene.pixels.shape[:2])
    found = estimated(model, scene) if scene.depth is None else torch.from_numpy(np.ascontiguousarray(scene.depth))[None, None].float()
    found = F.interpolate(found, (height, width), mode="bicubic", align_corners=False)
    low, high = torch.aminmax(found)
    return 2.0 * (found - low) / (high - low).clamp(min=torch.finfo(found.dtype).tiny) - 1.0


@torch.no_grad()
def estimated(model: Any, scene: Scene) -> Tensor:
    """(1,1,h,w) float32, larger is nearer, by no known unit. The network reads a square of its own size, in float32."""
    placement = model.placement
    if ESTIMATOR not in placement.networks:
        raise BadRequest(
            f"'{model.file.name}' paints by the depth of a picture, but has no network that estimates it.",
            "Hand in a depth map in the tab img2img, or use the checkpoint's diffusers folder with its depth_estimator.",
        )

    def work() -> Tensor:
        network = placement.use(ESTIMATOR)
        side = network.config.image_size
        small = np.asarray(Image.fromarray(scene.pixels).resize((side, side), Image.Resampling.BICUBIC))
        given = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        return network(given.to(placement.device_of(ESTIMATOR), network.dtype)).predicted_depth[:, None].float().cpu()

    return placement.guarded(work, "the depth of the picture")
