"""The queue: fairness, bounds, owners, watchers. Work is a function of the test."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from PIL import Image

from app.errors import BadRequest, NotFound, QueueFull
from app.jobs import Job, JobControl, JobQueue, Limits
from app.work import Progress
from tests.jobs.waiting import WAIT, submit, when


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    queue = JobQueue(tmp_path / "jobs", Limits())
    yield queue
    queue.close()


def test_jobs_are_served_in_the_order_that_positions_told(queue: JobQueue) -> None:
    jobs = [submit(queue, "hog") for _ in range(10)] + [submit(queue, f"single-{number}") for number in range(5)]
    told = sorted(jobs, key=lambda job: queue.get(job.id, None).position)
    assert [queue.get(job.id, None).position for job in told] == list(range(1, 16))
    served: list[str] = []
    queue.start(lambda job, control: served.append(job.id))
    when(queue, told[-1])
    assert served == [job.id for job in told]
    assert max(served.index(job.id) for job in jobs[10:]) == 5


def test_jobs_that_wait_for_one_checkpoint_run_together_and_positions_say_so(queue: JobQueue) -> None:
    jobs = [queue.submit(owner, "txt2img", "{}", group=group) for owner, group in zip("abcd", "XYXY", strict=True)]
    assert [queue.get(job.id, None).position for job in jobs] == [1, 3, 2, 4]
    served: list[str] = []
    queue.start(lambda job, control: served.append(job.id))
    when(queue, jobs[3])
    assert served == [jobs[number].id for number in (0, 2, 1, 3)]
    assert queue.rerun(jobs[0].id, "a").group == "X"


def test_exactly_the_limit_is_accepted(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, Limits(max_waiting=30, max_waiting_per_owner=8))
    accepted: Queue[int] = Queue()
    refused: Queue[str] = Queue()

    def submit_ten(owner: str) -> None:
        for _ in range(10):
            try:
                accepted.put(queue.submit(owner, "txt2img", "{}").seq)
            except QueueFull as error:
                refused.put(str(error))

    threads = [threading.Thread(target=submit_ten, args=(f"owner-{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(accepted.queue) == list(range(1, 31))
    assert refused.qsize() == 170
    assert all("30 jobs are waiting" in text or "8 jobs waiting" in text for text in refused.queue)
    queue.close()


@pytest.mark.parametrize(("guest", "limit"), [(False, 32), (True, 4)])
def test_each_owner_has_a_limit_and_others_do_not_feel_it(queue: JobQueue, guest: bool, limit: int) -> None:
    for _ in range(limit):
        queue.submit("hog", "txt2img", "{}", guest)
    with pytest.raises(QueueFull, match=f"You have {limit} jobs waiting"):
        queue.submit("hog", "txt2img", "{}", guest)
    assert queue.submit("anna", "txt2img", "{}", guest).state == "queued"


def test_a_waiting_job_is_cancelled_at_once(queue: JobQueue) -> None:
    job = submit(queue)
    view = queue.cancel(job.id, "anna")
    assert (view.job.state, view.position) == ("cancelled", 0)
    served: list[str] = []
    queue.start(lambda job, control: served.append(job.id))
    other = submit(queue)
    when(queue, other)
    assert served == [other.id]


def test_rerun_makes_a_new_job_of_the_same_request(queue: JobQueue) -> None:
    job = submit(queue, request='{"seed": 7}')
    with pytest.raises(BadRequest, match="over"):
        queue.rerun(job.id, "anna")
    queue.cancel(job.id, "anna")
    again = queue.rerun(job.id, "anna")
    assert (again.request, again.task, again.owner, again.state) == (job.request, "txt2img", "anna", "queued")
    assert again.id != job.id
    with pytest.raises(NotFound):
        queue.rerun(job.id, "bob")


def test_owners_see_only_their_own(queue: JobQueue) -> None:
    mine, theirs = submit(queue, "anna"), submit(queue, "bob")
    for call in (queue.get, queue.cancel, queue.rerun, queue.preview, queue.events):
        with pytest.raises(NotFound):
            call(theirs.id, "anna")
    with pytest.raises(NotFound):
        queue.subscribe(theirs.id, "anna", lambda: None)
    assert queue.get(theirs.id, "bob").job.state == "queued"
    assert [view.job.id for view in queue.list("anna")] == [mine.id]
    assert [(view.job.id, view.position) for view in queue.list(None)] == [(theirs.id, 2), (mine.id, 1)]


def test_two_watchers_hear_of_every_change_until_they_leave(queue: JobQueue) -> None:
    first: list[int] = []
    second: list[int] = []
    job = submit(queue)
    watchers = (first, second)
    leave = [queue.subscribe(job.id, "anna", lambda heard=heard: heard.append(queue.get(job.id, "anna").version)) for heard in watchers]
    ready, go = threading.Event(), threading.Event()

    def work(job: Job, control: JobControl) -> None:
        control.report(Progress("sampling", step=1, steps=2))
        ready.set()
        assert go.wait(WAIT)
        control.report(Progress("sampling", step=2, steps=2))

    queue.start(work)
    assert ready.wait(WAIT)
    assert len(first) >= 2 and len(second) >= 2
    heard = len(second)
    leave[1]()
    go.set()
    when(queue, job)
    assert len(second) == heard
    assert first == sorted(first) and len(first) > heard


def test_a_watcher_whose_loop_is_gone_does_not_stop_the_job(queue: JobQueue) -> None:
    job = submit(queue)

    def gone() -> None:
        raise RuntimeError("Event loop is closed")

    queue.subscribe(job.id, "anna", gone)
    queue.start(lambda job, control: control.report(Progress("sampling")))
    when(queue, job)
    assert queue.get(job.id, None).job.state == "done"


def test_waiting_owners_hear_that_they_moved_up(queue: JobQueue) -> None:
    first, second = submit(queue, "anna"), submit(queue, "bob")
    before = queue.get(second.id, "bob")
    woken = threading.Event()
    queue.subscribe(second.id, "bob", woken.set)
    queue.cancel(first.id, "anna")
    assert woken.is_set()
    after = queue.get(second.id, "bob")
    assert (before.position, after.position) == (2, 1)
    assert after.version > before.version


def test_progress_and_preview_are_the_latest_and_vanish_at_the_end(queue: JobQueue) -> None:
    shown: list[Job] = []
    made: list[int] = []
    ready, go = threading.Event(), threading.Event()

    def paint() -> Image.Image:
        made.append(1)
        return Image.new("RGB", (1000, 500), "red")

    def work(job: Job, control: JobControl) -> None:
        control.report(Progress("sampling", 1, 2, 1, 4, lambda: Image.new("RGB", (8, 8))))
        control.report(Progress("sampling", 1, 2, 2, 4, paint))
        shown.append(job)
        ready.set()
        assert go.wait(WAIT)

    queue.start(work)
    job = submit(queue)
    assert queue.preview(job.id, "anna") is None or ready.is_set()
    assert ready.wait(WAIT)
    view = queue.get(job.id, "anna")
    assert view.progress is not None and (view.progress.step, view.position) == (2, 0)
    data = queue.preview(job.id, "anna")
    assert data is not None and queue.preview(job.id, "anna") == data
    assert made == [1]
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        assert image.size == (512, 256)
    go.set()
    when(queue, job)
    assert queue.get(job.id, "anna").progress is None
    assert queue.preview(job.id, "anna") is None


def test_pictures_found_after_a_crash_are_adopted_once(queue: JobQueue) -> None:
    job = submit(queue)
    queue.cancel(job.id, "anna")
    for _ in range(2):
        queue.adopt(job.id, ("picture-1", "picture-2"))
    assert queue.get(job.id, "anna").job.outputs == ("picture-1", "picture-2")
