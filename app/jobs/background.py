"""Work that nobody waits for, such as looking through folders: one quiet thread that ends when it is told to."""

import logging
import threading
from collections.abc import Callable

from app.errors import StudioError

Going = Callable[[], bool]
"""Whether the work should go on; to be asked often."""
_log = logging.getLogger(__name__)


class Background:
    """One thread at a time. It does not keep the process alive."""

    def __init__(self) -> None:
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[Going], object], name: str) -> None:
        """Begin; the second call waits for the first one's work. What the work raises of our errors is written to the log."""

        def run() -> None:
            try:
                work(lambda: not self._leave.is_set())
            except (StudioError, OSError) as error:
                _log.warning("%s ended early: %s", name, error)

        self.wait()
        self._thread = threading.Thread(target=run, name=f"darkroom-{name}", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the work is done."""
        if self._thread:
            self._thread.join()

    def close(self) -> None:
        """Ask the work to end and wait for it. Twice is harmless."""
        self._leave.set()
        self.wait()
