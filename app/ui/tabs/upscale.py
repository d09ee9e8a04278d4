"""A finished picture made larger."""

from app.request import Upscale
from app.ui.tabs.tab import Group, TaskTab

ENLARGE = Group("Enlarge", (("upscaler",), ("scale",)))

TAB = TaskTab(Upscale, "Upscale", (ENLARGE, Group("Made with", (("parameters",),), open=False)), above=("image",))
