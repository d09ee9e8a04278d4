"""An infinite zoom."""

from app.request import Zoom
from app.ui.tabs.tab import EXTRA, GUIDANCE, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

JOURNEY = Group("Journey", (("storyboard",), ("keys", "ratio"), ("direction", "coherence"), ("overlap",)))
VIDEO = Group("Video", (("seconds", "fps"), ("video_format",)))
START = Group("Start", (("image",),))

TAB = TaskTab(
    Zoom,
    "Infinite zoom",
    (JOURNEY, VIDEO, START, SAMPLING, EXTRA, GUIDANCE, SAMPLER, Group("Size", (("width", "height"),)), REFINER, MORE),
)
