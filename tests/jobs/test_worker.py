"""The worker: stopping, failing, closing; the job after it runs fine. Work is a function of the test."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import DiskTrouble, QueueFull, WorkFailed
from app.jobs import Job, JobControl, JobQueue, Limits
from app.work import Progress
from tests.jobs.waiting import WAIT, submit, when


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(tmp_path / "jobs", Limits())
    yield queue
    queue.close()


def test_a_running_job_stops_at_its_next_report_and_keeps_its_pictures(queue: JobQueue) -> None:
    reached, go = threading.Event(), threading.Event()
    steps: list[int] = []

    def work(job: Job, control: JobControl) -> None:
        control.add_output("picture-1")
        for step in range(1, 100):
            if step == 3:
                reached.set()
                assert go.wait(WAIT)
            control.report(Progress("sampling", 2, 4, step, 100))
            steps.append(step)

    queue.start(work)
    job = submit(queue)
    assert reached.wait(WAIT)
    assert queue.cancel(job.id, "anna").job.state == "running"
    go.set()
    when(queue, job)
    ended = queue.get(job.id, "anna").job
    assert (ended.state, ended.outputs, ended.error) == ("cancelled", ("picture-1",), "")
    assert steps == [1, 2]


@pytest.mark.parametrize("place", ["at once", "after a report", "after a picture"])
@pytest.mark.parametrize("error", [RuntimeError("secret /path"), WorkFailed("The card is gone.", "Restart."), SystemExit(3), MemoryError(), RecursionError()])
def test_a_job_after_a_failed_one_runs_fine(queue: JobQueue, place: str, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def work(job: Job, control: JobControl) -> None:
        if job.request == "good":
            control.report(Progress("sampling"))
            return
        if place != "at once":
            control.report(Progress("sampling"))
        if place == "after a picture":
            control.add_output("picture-1")
        raise error

    queue.start(work)
    bad, good = submit(queue, request="bad"), submit(queue, request="good")
    when(queue, good)
    failed = queue.get(bad.id, None).job
    assert (failed.state, queue.get(good.id, None).job.state) == ("failed", "done")
    assert failed.outputs == (("picture-1",) if place == "after a picture" else ())
    if isinstance(error, WorkFailed):
        assert failed.error == "The card is gone. Restart."
    else:
        assert failed.error.startswith("Something went wrong inside Darkroom") and "secret" not in failed.error
        assert any(record.exc_info for record in caplog.records)


def test_a_broken_prepare_does_not_end_the_worker(queue: JobQueue) -> None:
    ran: list[str] = []
    queue.start(lambda job, control: ran.append(threading.current_thread().name), prepare=lambda: 1 / 0)
    job = submit(queue)
    when(queue, job)
    assert ran == ["darkroom-worker-0"]


def test_a_job_that_takes_too_long_is_stopped_with_its_pictures_kept(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, Limits(max_seconds=0))

    def work(job: Job, control: JobControl) -> None:
        control.add_output("picture-1")
        while True:
            control.report(Progress("sampling"))

    queue.start(work)
    job = submit(queue)
    when(queue, job)
    ended = queue.get(job.id, None).job
    assert (ended.state, ended.outputs) == ("failed", ("picture-1",))
    assert "limit of 0 seconds" in ended.error
    queue.close()


def test_closing_interrupts_what_runs_and_keeps_what_waits(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path)
    ready = threading.Event()

    def work(job: Job, control: JobControl) -> None:
        control.add_output("picture-1")
        while True:
            control.report(Progress("sampling"))
            ready.set()

    queue.start(work)
    running, waiting = submit(queue), submit(queue)
    assert ready.wait(WAIT)
    queue.close()
    queue.close()
    with pytest.raises(QueueFull, match="closing"):
        submit(queue)
    again = JobQueue(tmp_path)
    assert again.recovered == ()
    job = again.get(running.id, None).job
    assert (job.state, job.outputs, job.error) == ("interrupted", ("picture-1",), "Darkroom was closed while this job was running.")
    assert again.get(waiting.id, None).job.state == "queued"
    again.start(lambda job, control: None)
    rerun = again.rerun(running.id, "anna")
    when(again, rerun)
    assert again.get(waiting.id, None).job.state == "done"
    again.close()


def test_closing_does_not_wait_for_a_step_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.queue.CLOSE_SECONDS", 0.05)
    queue = JobQueue(tmp_path)
    ready, go, over = threading.Event(), threading.Event(), threading.Event()

    def work(job: Job, control: JobControl) -> None:
        ready.set()
        assert go.wait(WAIT)
        try:
            control.add_output("too late")
        finally:
            over.set()

    queue.start(work)
    job = submit(queue)
    assert ready.wait(WAIT)
    queue.close()
    go.set()
    assert over.wait(WAIT)
    again = JobQueue(tmp_path)
    assert (again.get(job.id, None).job.state, again.get(job.id, None).job.outputs) == ("interrupted", ())
    again.close()


def test_a_disk_too_full_for_the_journal_is_told_and_written_later(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = queue._journal
    finish = journal.finish
    failing = threading.Event()

    def full(job_id: str, state: str, error: str = "") -> bool:
        if failing.is_set():
            raise DiskTrouble("The job journal could not be written: the disk is full or read-only.")
        return finish(job_id, state, error)

    monkeypatch.setattr(journal, "finish", full)

    def work(job: Job, control: JobControl) -> None:
        if job.request == "bad":
            failing.set()
            raise DiskTrouble("The file could not be written: the disk is full.")

    queue.start(work)
    bad = submit(queue, request="bad")
    when(queue, bad)
    view = queue.get(bad.id, "anna")
    assert (view.job.state, view.job.error) == ("failed", "The file could not be written: the disk is full.")
    assert journal.get(bad.id).state == "running"
    failing.clear()
    good = submit(queue, request="good")
    when(queue, good)
    assert (journal.get(bad.id).state, journal.get(good.id).state) == ("failed", "done")


def test_two_workers_share_the_queue(queue: JobQueue) -> None:
    meet = threading.Barrier(2, timeout=WAIT)
    queue.start(lambda job, control: meet.wait() and None, threads=2)
    jobs = [submit(queue), submit(queue)]
    for job in jobs:
        when(queue, job)
    assert [queue.get(job.id, None).job.state for job in jobs] == ["done", "done"]
