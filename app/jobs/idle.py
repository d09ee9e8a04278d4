"""Work for quiet hours: done in small steps by one slow thread, which stands aside as soon as there is a job."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator

from app.errors import StudioError

_log = logging.getLogger(__name__)


class Idle:
    """Goes through steps while nothing else is to be done, again and again. It does not keep the process alive.

    Args:
        steps: makes the steps of one round; called anew for each.
        busy: whether there is something better to do; asked before each step.
        rest: seconds before the first round and between two rounds.
        patience: seconds between two looks whether it is still busy.
    """

    def __init__(self, steps: Callable[[], Iterator[None]], busy: Callable[[], bool], *, rest: float = 30.0, patience: float = 1.0) -> None:
        self._steps, self._busy, self._rest, self._patience = steps, busy, rest, patience
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="darkroom-idle", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask it to end and wait for the step that it is at. Twice is harmless."""
        self._leave.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # Linux: the priority of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not self._leave.wait(self._rest):
            try:
                self._round()
            except (StudioError, OSError) as error:
                _log.warning("Work in the background ended early: %s", error)

    def _round(self) -> None:
        for _ in self._steps():
            while not self._leave.is_set() and self._busy():
                self._leave.wait(self._patience)
            if self._leave.is_set():
                return
