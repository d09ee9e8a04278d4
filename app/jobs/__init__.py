"""Jobs: the journal that survives a crash, the queue that is fair, the worker that runs one job after the other."""

from app.jobs.background import Background
from app.jobs.idle import Idle
from app.jobs.journal import Event, Job, State
from app.jobs.queue import JobQueue, Limits, View
from app.jobs.worker import JobControl, Work

__all__ = ["Background", "Event", "Idle", "Job", "JobControl", "JobQueue", "Limits", "State", "View", "Work"]
