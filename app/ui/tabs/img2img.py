"""A picture from a picture and a prompt."""

from app.request import Img2Img
from app.ui.tabs.tab import BATCH, EXTRA, GUIDANCE, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

TAB = TaskTab(
    Img2Img,
    "img2img",
    (SAMPLING, EXTRA, GUIDANCE, SAMPLER, Group("Size", (("width", "height"), ("resize_mode",), BATCH), open=False), REFINER, MORE),
    above=("image", "denoising_strength"),
)
