"""Contact sheets: many pictures of one size on one, to look at."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

GAP = 4
"""White pixels between two pictures."""


def to_bytes(pictures: torch.Tensor) -> np.ndarray:
    """Pictures (n, 3, h, w) in [-1, 1] -> uint8 (n, h, w, 3)."""
    scaled = (pictures.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def contact_sheet(pictures: np.ndarray, columns: int) -> Image.Image:
    """Lay uint8 pictures (n, h, w, 3) out in rows of `columns`."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet)


def save_sheet(pictures: np.ndarray, columns: int, path: Path) -> None:
    """Write a contact sheet; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, columns).save(path)
