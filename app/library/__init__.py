"""The library: pictures on the disk, what they hold, and who may see them."""

from app.library.index import Saved
from app.library.library import Library

__all__ = ["Library", "Saved"]
