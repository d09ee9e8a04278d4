"""Training of the x4 upscaler: from 128 to 512 pixels, on renders and on what the embedded autoencoder makes of them.

The network is Real-ESRGAN's "Compact" (SRVGGNetCompact: X. Wang et al., 2021), a row of 3x3 convolutions at the small
size and a pixel shuffle at the end, on top of the picture enlarged with repeated pixels. Its weights are named
`body.N.weight`, by which spandrel and the programs that use it recognise the file.

Loss = L1 + Laplacian L1 (sharp edges). Small pictures are renders averaged 4x4, most of them blurred, some made noisy or
compressed, as pictures from elsewhere are; one in five went through the autoencoder with a little noise on its latents.
More of these made the results soft: what the autoencoder has lost cannot be guessed, and its mean is a blur.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tools.embedded.sheet import contact_sheet
from tools.embedded.training import Average, apply_gradients, step_generator
from tools.embedded.upscaler_samples import SCALE, SHOWN, Pairs, UpscalerSettings, sample_batch, to_unit
from tools.embedded.vae import laplacian

FEATURES, LAYERS = 48, 8
EDGE_WEIGHT = 1.0


class Compact(nn.Module):
    """RGB (n, 3, h, w) in [0, 1] -> (n, 3, 4h, 4w), not clamped."""

    def __init__(self, features: int = FEATURES, layers: int = LAYERS) -> None:
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(layers):
            body += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.ModuleList([*body, nn.Conv2d(features, 3 * SCALE**2, 3, padding=1)])
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Begin as bicubic enlarging, from which training can only get better; without it a row so long learns nothing for a thousand steps.

        The first 27 features carry each colour of the 3x3 neighbours through the rows, untouched by the activations since
        they are not negative; the last row makes the 5x5 bicubic kernel of them. All other weights are He's (2015).
        """
        rows = [layer for layer in self.body if isinstance(layer, nn.Conv2d)]
        for layer in rows:
            nn.init.kaiming_normal_(layer.weight, a=0.25)
            nn.init.zeros_(layer.bias)
        first, *between, last = rows
        carried = 27 if first.out_channels >= 27 else 0
        for layer in rows[:-1]:
            layer.weight[:carried] = 0
        for feature in range(carried):
            first.weight[feature, feature // 9, feature % 9 // 3, feature % 3] = 1
            for layer in between:
                layer.weight[feature, feature, 1, 1] = 1
        last.weight.mul_(0.01)
        if carried:
            last.weight[:, :carried] = _bicubic_rows()

    def features(self, small: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> (n, features, h, w): what the last row is given."""
        values = small
        for layer in self.body[:-1]:
            values = layer(values)
        return values

    def forward(self, small: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return F.pixel_shuffle(self.body[-1](self.features(small)), SCALE) + F.interpolate(small, scale_factor=SCALE, mode="nearest")


def _bicubic_rows() -> torch.Tensor:
    """(48, 27, 3, 3): what the last row adds to repeated pixels to make them bicubic ones (Keys, 1981, a = -0.5)."""
    kernel = np.zeros((SCALE, 5))
    for phase in range(SCALE):
        distance = np.abs(np.arange(-2, 3) - ((phase + 0.5) / SCALE - 0.5))
        near, far = 1.5 * distance**3 - 2.5 * distance**2 + 1, -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        kernel[phase] = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    found = torch.zeros(3, SCALE, SCALE, 3, 3, 3, 3, 3)  # colour, phases, colour, neighbour, tap
    for down, right in itertools.product(range(-2, 3), repeat=2):
        neighbour = (max(-1, min(1, down)), max(-1, min(1, right)))
        place = (neighbour[0] + 1, neighbour[1] + 1, down - neighbour[0] + 1, right - neighbour[1] + 1)
        weights = torch.from_numpy(np.outer(kernel[:, down + 2], kernel[:, right + 2])) - float(down == right == 0)
        for colour in range(3):
            found[(colour, slice(None), slice(None), colour, *place)] = weights.float()
    return found.reshape(3 * SCALE**2, 27, 3, 3)


class UpscalerTrainer:
    """Trains the network on `pairs`; see `training.Trainer`."""

    def __init__(self, network: Compact, pairs: Pairs, settings: UpscalerSettings, device: str = "cpu") -> None:
        self.network = network.to(device, memory_format=torch.channels_last)
        self.pairs, self.settings, self.device = pairs, settings, device
        self.optimiser = torch.optim.AdamW(network.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-5)
        self.average = Average(network, settings.average)

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One optimiser step; see `Trainer`."""
        small, large = sample_batch(self.pairs, self.settings, step_generator(self.settings.seed, number))
        small, large = small.to(self.device), large.to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.settings.bfloat16):
            output = self.network(small)
        output = output.float()
        pixels = (output - large).abs().mean()
        loss = pixels + EDGE_WEIGHT * (laplacian(output) - laplacian(large)).abs().mean()
        apply_gradients(self.optimiser, loss, learning_rate)
        self.average.update(number)
        return {"loss": loss.item(), "psnr": -10 * math.log10(max(1e-9, (output - large).square().mean().item()))}

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load(state["average"])

    def averaged(self) -> dict[str, torch.Tensor]:
        """The weights to ship."""
        return self.average.state_dict()

    def sheet(self, path: Path) -> None:
        """The last pictures enlarged with Lanczos, by the averaged weights, and as they should be."""
        soft, large = self.pairs.soft[-SHOWN:], np.asarray(self.pairs.large[-SHOWN:])
        contact_sheet(np.concatenate([resample(soft, Image.Resampling.LANCZOS), enlarge(self.averaged(), soft), large]), SHOWN).save(path)


@torch.no_grad()
def solve_last_row(network: Compact, pairs: Pairs, settings: UpscalerSettings, batches: int = 128) -> None:
    """Set the last row to the least squares over `batches` steps' samples (negative step numbers, which no training sees).

    The features of the rows before are random beside the carried colours; a linear map of them is found in seconds, and is
    where training goes on from.
    """
    products = torch.zeros(2, dtype=torch.float64)
    for number in range(1, batches + 1):
        small, large = sample_batch(pairs, settings, step_generator(settings.seed, -number))
        wanted = F.pixel_unshuffle(large - F.interpolate(small, scale_factor=SCALE, mode="nearest"), SCALE)
        columns = F.unfold(network.features(small), 3, padding=1).transpose(1, 2).flatten(0, 1)
        columns = torch.cat([columns, torch.ones(len(columns), 1)], 1)
        found = columns.T @ torch.cat([columns, wanted.permute(0, 2, 3, 1).reshape(len(columns), -1)], 1)
        products = found.double() if number == 1 else products + found.double()
    size = len(products)
    squares = products[:, :size] + 1e-4 * products[:, :size].diagonal().mean() * torch.eye(size, dtype=torch.float64)
    solved = torch.linalg.solve(squares, products[:, size:]).T.float()
    last = network.body[-1]
    last.weight.copy_(solved[:, :-1].reshape(last.weight.shape))
    last.bias.copy_(solved[:, -1])


# ---- results


@torch.no_grad()
def enlarge(weights: dict[str, torch.Tensor], pictures: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, 3) -> (n, 4h, 4w, 3) with the network of these weights, in float32 on the CPU."""
    network = Compact(len(weights["body.0.bias"]), (len(weights) - 4) // 3)
    network.load_state_dict({name: value.float().cpu() for name, value in weights.items()})
    parts = [network(to_unit(picture[None])).clamp(0, 1) * 255 for picture in pictures]
    return torch.cat(parts).round().byte().permute(0, 2, 3, 1).numpy()


def resample(pictures: np.ndarray, method: Image.Resampling) -> np.ndarray:
    """uint8 (n, h, w, 3) -> (n, 4h, 4w, 3), as Pillow enlarges."""
    size = (SCALE * pictures.shape[2], SCALE * pictures.shape[1])
    return np.stack([np.array(Image.fromarray(picture).resize(size, method)) for picture in pictures])
