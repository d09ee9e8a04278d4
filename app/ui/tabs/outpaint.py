"""A picture extended beyond its edges."""

from app.request import Outpaint
from app.ui.tabs.tab import BATCH, EXTRA, GUIDANCE, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

EXTEND = Group("Extend", (("left", "right"), ("up", "down"), ("outpaint_fill", "coherence"), ("overlap", "denoising_strength")))

TAB = TaskTab(Outpaint, "Outpaint", (EXTEND, SAMPLING, EXTRA, GUIDANCE, SAMPLER, Group("Batch", (BATCH,), open=False), REFINER, MORE), above=("image",))
