"""A part of a picture painted anew."""

from app.request import Inpaint
from app.ui.tabs.tab import BATCH, EDITING, EXTRA, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

MASK = Group("Mask", (("mask_mode",), ("masked_content",), ("inpaint_area",), ("mask_blur", "mask_padding")))

TAB = TaskTab(
    Inpaint,
    "Inpaint",
    (MASK, SAMPLING, EXTRA, EDITING, SAMPLER, Group("Size", (("width", "height"), ("resize_mode",), BATCH), open=False), REFINER, MORE),
    above=("image", "denoising_strength"),
)
