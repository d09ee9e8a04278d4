"""A picture from a prompt."""

from app.request import Txt2Img
from app.ui.tabs.tab import BATCH, EXTRA, GUIDANCE, MORE, SAMPLING, Group, TaskTab

EXAMPLES = (
    "the house in the forest, dark night, leaves in the air, fluorescent mushrooms, "
    "clear focus, very coherent, very detailed, contrast, vibrant, digital painting",
    "lighthouse by the sea at sunset",
    "red hot air balloon over mountains, day, clouds",
    "blue boat on the sea, night, crescent moon, stars",
    "a tent in the desert, night",
    "windmill in a meadow, day, flowers",
    "a castle in winter, snowing",
)

TAB = TaskTab(Txt2Img, "txt2img", (SAMPLING, EXTRA, GUIDANCE, Group("Size", (("width", "height"), BATCH)), MORE), examples=EXAMPLES)
