"""Enlarging: the network's own factor tile by tile, then Lanczos to the exact size."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image

from app.canvas.fit import Pixels, as_image, as_rgb, enlarged_size, resized
from app.engine.device import CPU, is_out_of_memory
from app.engine.upscalers import Upscaler, find_upscaler
from app.engine.upscalers_load import Network, load_network
from app.errors import BadRequest, OutOfMemory
from app.settings import Settings
from app.work import Progress, Report

TILES = (256, 128, 64)
"""Sides of the tiles in pixels of the given picture; the next one is tried where memory runs out."""
MARGIN, RAMP = 16, 16
"""The outermost pixels of a tile are not used, the next ones fade over into the neighbour."""
MOST_PIXELS = 2**26
"""Pixels that a network may make: 8192x8192."""
KEPT_BYTES = 512 * 2**20
"""The network used last is kept when its weights are no larger."""

OnTile = Callable[[int, int], None]
"""(tiles done, tiles in all), before the first tile and after each; may raise Cancelled."""


def quietly(done: int, tiles: int) -> None:
    """Nobody watches."""


class Upscalers:
    """Enlarges pictures; keeps the network that it used last. One thread at a time."""

    def __init__(self, settings: Settings, device: torch.device = CPU) -> None:
        self._settings, self._device = settings, device
        self._last: tuple[object, Network] | None = None

    def upscale(self, picture: Image.Image, name: str, scale: float, on_tile: OnTile = quietly) -> Image.Image:
        """`picture` made `scale` times as wide and as high, RGB. The same picture gives the same result at each run.

        Raises:
            UnknownName: there is no upscaler of that name.
            BadCheckpoint: its file cannot be used.
            BadRequest: the network would make more than 8192x8192 pixels.
            OutOfMemory, and what `on_tile` raises
        """
        return as_image(self.enlarge(as_rgb(picture), name, *enlarged_size(picture.size, scale), on_tile))

    def enlarge(self, pixels: Pixels, name: str, width: int, height: int, on_tile: OnTile = quietly) -> Pixels:
        """uint8 (h,w,3) -> (height,width,3), as `upscale` does: what a second pass starts from."""
        upscaler = find_upscaler(self._settings, name)
        if upscaler.path is not None:
            pixels = self._through(upscaler, pixels, on_tile)
        elif upscaler.name == "Nearest":
            return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))
        return resized(pixels, width, height)

    def release(self) -> None:
        """Forget the network, and free its memory."""
        self._last = None

    def _through(self, upscaler: Upscaler, pixels: Pixels, on_tile: OnTile) -> Pixels:
        network = self._network(upscaler)
        height, width = (side * network.scale for side in pixels.shape[:2])
        if width * height > MOST_PIXELS:
            hint = "Choose Lanczos or a smaller picture."
            raise BadRequest(f"'{upscaler.name}' would make {width}x{height} pixels, but at most {MOST_PIXELS / 1e6:.0f} megapixels are allowed.", hint)
        for tile in TILES:
            try:
                return tiled(network, pixels, tile, self._device, on_tile)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        raise OutOfMemory(f"There is not enough memory to enlarge {pixels.shape[1]}x{pixels.shape[0]} pixels with '{upscaler.name}'.")

    def _network(self, upscaler: Upscaler) -> Network:
        key = upscaler.stamp()
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        self._last = None
        network = load_network(upscaler, self._device)
        if network.bytes <= KEPT_BYTES:
            self._last = (key, network)
        return network


class Enlarger:
    """What the task "upscale" works with, in place of a `Brush`: upscalers, and somebody to report to."""

    def __init__(self, upscalers: Upscalers, report: Report) -> None:
        self._upscalers, self._report = upscalers, report

    def upscale(self, picture: Image.Image, name: str, scale: float) -> Image.Image:
        """`Upscalers.upscale`, reporting each tile; what `Report` raises goes through."""
        return self._upscalers.upscale(picture, name, scale, lambda done, tiles: self._report(Progress("upscaling", 1, 1, done, tiles)))


def tiled(network: Network, pixels: Pixels, tile: int, device: torch.device, on_tile: OnTile) -> Pixels:
    """uint8 (h,w,3) through the network in overlapping tiles of at most tile x tile pixels -> (h*scale,w*scale,3).

    A network whose pixels depend on at most 16 pixels around them leaves no trace of the tiles; the others fade over.
    """
    scale = network.scale
    height, width = pixels.shape[:2]
    rows, columns = list(spans(height, tile)), list(spans(width, tile))
    result = np.zeros((height * scale, width * scale, 3), np.float32)
    on_tile(0, len(rows) * len(columns))
    for done, ((top, bottom), (left, right)) in enumerate(((row, column) for row in rows for column in columns), 1):
        given = torch.from_numpy(np.ascontiguousarray(pixels[top:bottom, left:right])).permute(2, 0, 1)[None].to(device).float() / 255
        made = network(given)[0].permute(1, 2, 0).float().cpu().numpy()
        vertical, horizontal = weights(top, bottom, height, scale), weights(left, right, width, scale)
        place = result[top * scale : bottom * scale, left * scale : right * scale]
        place += made * vertical[:, None, None] * horizontal[None, :, None]
        on_tile(done, len(rows) * len(columns))
    return np.rint(result.clip(0, 1) * 255).astype(np.uint8)


def spans(side: int, tile: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the tiles along a side: neighbours share 2 MARGIN + RAMP pixels, the last may be shorter."""
    start = 0
    while side - start > tile:
        yield start, start + tile
        start += tile - 2 * MARGIN - RAMP
    yield start, side


def weights(start: int, end: int, side: int, scale: int) -> np.ndarray:
    """How much each enlarged pixel of a tile counts along one axis, float32 (end - start) * scale; over all tiles it sums to 1."""
    found = np.ones((end - start) * scale, np.float32)
    rise = (np.arange(RAMP * scale, dtype=np.float32) + 0.5) / (RAMP * scale)
    margin, both = MARGIN * scale, (MARGIN + RAMP) * scale
    if start > 0:
        found[:margin] = 0
        found[margin:both] = rise
    if end < side:
        found[len(found) - margin :] = 0
        found[len(found) - both : len(found) - margin] = 1 - rise
    return found
