"""One file per tab; this list is their order."""

from app.ui.tabs import img2img, inpaint, outpaint, txt2img, upscale, zoom
from app.ui.tabs.tab import TaskTab

TABS: tuple[TaskTab, ...] = (txt2img.TAB, img2img.TAB, inpaint.TAB, outpaint.TAB, zoom.TAB, upscale.TAB)
