"""What is known of a running job beside its row in the journal: the latest progress, a preview, the time left."""

import io
import threading
import time
from collections.abc import Callable

from PIL import Image

from app.errors import Cancelled, WorkFailed
from app.work import Progress

PREVIEW_SIDE = 512
PREVIEW_QUALITY = 75


class Live:
    """One running job. Only the latest progress is kept, so a slow reader costs nothing; every method is thread-safe.

    Args:
        max_seconds: the job is stopped when it runs longer; None: no limit.
        clock: seconds that never jump.
    """

    def __init__(self, max_seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.cancelled = threading.Event()
        self.interrupted = threading.Event()
        self.progress: Progress | None = None
        self._clock = clock
        self._max_seconds = max_seconds
        self._started = clock()
        self._lock = threading.Lock()
        self._base: tuple[str, float, int] | None = None
        self._left: tuple[float, float] | None = None
        self._preview: Callable[[], Image.Image] | None = None
        self._jpeg_lock = threading.Lock()
        self._jpeg: tuple[object, bytes] | None = None

    def update(self, progress: Progress) -> None:
        """Note where the job stands. Raises Cancelled when it is to stop, WorkFailed when its time is up."""
        self.check()
        now = self._clock()
        with self._lock:
            self.progress = progress
            self._preview = progress.preview or self._preview
            self._learn(progress, now)

    def check(self) -> None:
        """Raises Cancelled when the job is to stop, WorkFailed when its time is up."""
        if self.cancelled.is_set() or self.interrupted.is_set():
            raise Cancelled()
        if self._max_seconds is not None and self._clock() - self._started > self._max_seconds:
            raise WorkFailed(f"The job was stopped after the limit of {self._max_seconds:g} seconds.", "Finished pictures are kept.")

    def _learn(self, progress: Progress, now: float) -> None:
        """Speed over all steps since the first one of the job; frames of a video are measured on their own."""
        if progress.phase not in ("sampling", "frames", "upscaling", "merging") or progress.steps <= 0:
            return
        rounds = progress.pictures if progress.phase == "sampling" else 1
        before = progress.picture - 1 if progress.phase == "sampling" else 0
        done, total = before * progress.steps + progress.step, rounds * progress.steps
        if self._base is None or self._base[0] != progress.phase:
            self._base, self._left = (progress.phase, now, done), None
        _, base_time, base_done = self._base
        if done > base_done:
            self._left = ((now - base_time) / (done - base_done) * max(0, total - done), now)

    def seconds_left(self) -> float | None:
        """An estimate from the steps done so far; None while there are too few."""
        with self._lock:
            if self._left is None:
                return None
            left, at = self._left
        return max(0.0, left - (self._clock() - at))

    def jpeg(self) -> bytes | None:
        """The latest preview as JPEG, at most 512 pixels a side; made once for all readers, in the thread of the first."""
        with self._jpeg_lock:
            with self._lock:
                preview = self._preview
            if preview is None:
                return None
            if self._jpeg is None or self._jpeg[0] is not preview:
                self._jpeg = (preview, encode(preview()))
            return self._jpeg[1]


def encode(image: Image.Image) -> bytes:
    """JPEG of quality 75, longest side at most 512 pixels; smaller pictures keep their size."""
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=PREVIEW_QUALITY)
    return buffer.getvalue()
