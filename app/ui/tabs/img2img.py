"""A picture from a picture and a prompt."""

from app.request import Img2Img
from app.ui.tabs.tab import BATCH, EDITING, EXTRA, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

TAB = TaskTab(
    Img2Img,
    "img2img",
    (
        SAMPLING, EXTRA, EDITING, Group("Depth", (("depth_map",),), open=False), SAMPLER,
        Group("Size", (("width", "height"), ("resize_mode",), BATCH), open=False), REFINER, MORE,
    ),
    above=("image", "denoising_strength"),
)
