"""A picture from a prompt."""

from app.request import Txt2Img
from app.ui.tabs.tab import BATCH, EXTRA, GUIDANCE, MORE, REFINER, SAMPLER, SAMPLING, Group, TaskTab

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

HIRES = Group(
    "Hires. fix",
    (
        ("enable_hr", "save_first_pass"),
        ("hr_upscaler", "denoising_strength"),
        ("hr_scale", "hr_second_pass_steps"),
        ("hr_resize_x", "hr_resize_y"),
        ("hr_checkpoint", "hr_cfg"),
        ("hr_sampler", "hr_schedule"),
        ("hr_prompt",),
        ("hr_negative_prompt",),
        ("hr_refiner",),
    ),
    open=False,
)

TAB = TaskTab(
    Txt2Img, "txt2img", (SAMPLING, Group("Size", (("width", "height"), BATCH)), HIRES, REFINER, EXTRA, GUIDANCE, SAMPLER, MORE), examples=EXAMPLES
)
