"""The shelf as commands see it that start no studio."""

from app.engine.checkpoints.find import Shelf
from app.engine.families import FAMILIES
from app.extensions import Extensions
from app.settings import Settings


def open_shelf(settings: Settings) -> Shelf:
    """The shelf of these settings, with the families that extensions add."""
    extensions = Extensions()
    extensions.load(settings.extension_dir)
    for _ in extensions.call("register_families", families=FAMILIES):
        pass
    return Shelf(settings)
