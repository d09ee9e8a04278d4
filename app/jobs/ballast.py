"""A megabyte kept back on the disk, thrown overboard when it is full, so that the end of a job can still be written."""

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 2**20


class Ballast:
    """A file of one megabyte that is there whenever there is space for it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take_in(self) -> None:
        """Make the file if it is missing. Nothing happens when there is no space."""
        if self.path.exists():
            return
        try:
            with self.path.open("xb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
                else:
                    file.write(bytes(BALLAST_BYTES))
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Give the space back."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
