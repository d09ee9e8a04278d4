"""Errors a person can act on. Everything else is a bug and keeps its traceback.

Each class carries one sentence (`message`) that names the field, the value and what is allowed, and an optional
`hint` that says what to do next. Borders turn them into a toast, a 4xx answer or a line on stderr.
"""

import difflib
from collections.abc import Iterable


class StudioError(Exception):
    """Base of all errors shown to the user.

    Attributes:
        message: one clear sentence.
        hint: what to do next, or an empty string.
        status: the HTTP status that the REST border answers with.
        exit_code: the exit status of the command line: 2 for bad input, 1 for work that failed.
    """

    status = 422
    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadRequest(StudioError):
    """A parameter is missing, of the wrong kind or out of bounds."""


class BadPicture(StudioError):
    """A file that was given as a picture is not one that we read."""


class UnknownName(StudioError):
    """A sampler, schedule, checkpoint, VAE, LoRA or style that is not on the list."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        near = difflib.get_close_matches(name.lower(), [item.lower() for item in known], 3, 0.4)
        by_lower = {item.lower(): item for item in known}
        offers = [by_lower[item] for item in near] or known[:8]
        listed = ", ".join(f"'{item}'" for item in offers)
        hint = f"Did you mean {listed}?" if near else (f"Choose one of: {listed}." if listed else f"There is no {kind} yet.")
        super().__init__(f"{kind[:1].upper()}{kind[1:]} '{name[:80]}' does not exist.", hint)


class BadCheckpoint(StudioError):
    """A model file that is missing, broken, or of a family that Darkroom cannot run."""


class BadSettings(StudioError):
    """A command-line flag, environment variable or settings file that cannot be used."""


class NotFound(StudioError):
    """A job or picture that does not exist, or belongs to somebody else (the answer is the same on purpose)."""

    status = 404


class QueueFull(StudioError):
    """Too many jobs are waiting."""

    status = 503


class Refused(StudioError):
    """The visitor's role does not allow this."""

    status = 403


class WorkFailed(StudioError):
    """The input was fine, the work was not done."""

    status = 500
    exit_code = 1


class OutOfMemory(WorkFailed):
    """The device has not enough memory, after every rung of the ladder was tried."""


class BadNumbers(WorkFailed):
    """The model produced NaN or infinite values, in full precision too."""


class DiskTrouble(WorkFailed):
    """A picture could not be written: disk full, folder read-only, quota reached."""


class Cancelled(StudioError):
    """The person pressed Stop. Not an error: raised by `Report` to leave the loop within one step."""

    def __init__(self) -> None:
        super().__init__("Stopped.")
