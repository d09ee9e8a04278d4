"""The journal on its own: order, recovery, versions, the lock, and a disk that is full."""

import sqlite3
from pathlib import Path

import pytest

from app.errors import BadSettings, DiskTrouble, NotFound
from app.jobs.ballast import BALLAST_BYTES
from app.jobs.journal import Journal


def test_a_row_survives_closing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job = journal.add("anna", "txt2img", '{"prompt": "日本 🎈"}')
    journal.close()
    again = Journal(tmp_path)
    assert again.get(job.id) == job
    assert (job.state, job.seq, job.outputs, job.error) == ("queued", 1, (), "")
    again.close()


def test_the_files_are_synced_and_say_their_version(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    pragma = {name: journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "user_version")}
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "user_version": 1}
    journal.close()


def test_what_was_running_is_interrupted_with_its_pictures(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    running, waiting = journal.add("anna", "txt2img", "{}"), journal.add("anna", "txt2img", "{}")
    assert journal.claim().id == running.id
    journal.add_output(running.id, "picture-1")
    journal._db.close()
    journal._folder_lock.release()
    again = Journal(tmp_path)
    assert [(job.id, job.state, job.outputs) for job in again.recovered] == [(running.id, "interrupted", ("picture-1",))]
    assert again.get(running.id).error == "Darkroom ended while this job was running."
    assert again.get(waiting.id).state == "queued"
    assert [event.kind for event in again.events(running.id)] == ["queued", "running", "output", "interrupted"]
    again.close()


def test_order_is_round_robin_over_owners_and_claims_follow_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    hog = [journal.add("hog", "txt2img", "{}").id for _ in range(10)]
    single = [journal.add(f"single-{number}", "txt2img", "{}").id for number in range(5)]
    order = journal.order()
    assert order == [hog[0], *single, *hog[1:]]
    assert [journal.claim().id for _ in range(4)] == order[:4]
    late = journal.add("late", "txt2img", "{}").id
    assert journal.order() == [*single[3:], late, *hog[1:]]
    journal.close()


def test_jobs_of_one_group_are_claimed_together_and_how_often_one_waited_survives_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    jobs = [journal.add("anna", "txt2img", "{}", group) for group in "XYXXXXXXY"]
    order = journal.order()
    assert [jobs.index(journal.get(job_id)) for job_id in order] == [0, 2, 3, 4, 5, 1, 8, 6, 7]
    assert [journal.claim().id for _ in range(3)] == order[:3]
    journal.close()
    again = Journal(tmp_path)
    assert again.get(order[3]).group == "X"
    assert again._queued()[0][0].overtaken == 2
    assert again.order() == [order[5], order[6], *order[3:5], *order[7:]]  # nothing is loaded after a start: the head goes first
    assert [again.claim().id for _ in range(6)] == [order[5], order[6], *order[3:5], *order[7:]]
    again.close()


def test_a_journal_from_before_groups_is_taken_over(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    database = sqlite3.connect(tmp_path / "jobs.db")
    for column in ("models", "overtaken"):
        database.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    database.execute("INSERT INTO jobs(id, seq, owner, task, state, request, created) VALUES('old', 1, 'anna', 'txt2img', 'queued', '{}', 1.0)")
    database.commit()
    database.close()
    journal = Journal(tmp_path)
    new = journal.add("bob", "txt2img", "{}", "X")
    assert (journal.get("old").group, journal.order()) == ("", ["old", new.id])
    journal.close()


def test_order_does_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    first = journal.add("anna", "txt2img", "{}")
    monkeypatch.setattr("app.jobs.journal.time.time", lambda: first.created - 86400)
    second = journal.add("anna", "txt2img", "{}")
    assert second.created < first.created
    assert [job.id for job in journal.newest("anna", 10)] == [second.id, first.id]
    assert journal.claim().id == first.id
    journal.close()


def test_the_end_of_a_job_is_written_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job = journal.add("anna", "txt2img", "{}")
    assert journal.finish(job.id, "cancelled")
    assert not journal.finish(job.id, "failed", "late")
    assert (journal.get(job.id).state, journal.get(job.id).error) == ("cancelled", "")
    journal.close()


def test_somebody_elses_job_is_not_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job = journal.add("anna", "txt2img", "{}")
    for job_id, owner in ((job.id, "bob"), ("nonsense", None), ("' OR 1=1 --", None)):
        with pytest.raises(NotFound):
            journal.get(job_id, owner)
    assert journal.get(job.id, None).id == job.id
    journal.close()


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    database = sqlite3.connect(tmp_path / "jobs.db")
    database.execute("PRAGMA user_version=2")
    database.close()
    with pytest.raises(BadSettings, match="newer Darkroom"):
        Journal(tmp_path)
    database = sqlite3.connect(tmp_path / "jobs.db")
    assert database.execute("PRAGMA user_version").fetchone()[0] == 2
    database.execute("PRAGMA user_version=1")
    database.close()
    Journal(tmp_path).close()  # the lock was let go


def test_a_damaged_journal_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"this is no database, " * 1000)
    with pytest.raises(BadSettings, match="cannot be opened"):
        Journal(tmp_path)


def test_one_darkroom_per_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(BadSettings, match=r"Another Darkroom \(pid \d+\) uses this folder"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadSettings, match="cannot be written"):
        Journal(tmp_path / "file" / "jobs")


def full(journal: Journal) -> None:
    """From now on the file may not grow: SQLite says "database or disk is full"."""
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages}")


def roomy(journal: Journal) -> None:
    journal._db.execute("PRAGMA max_page_count=100000")


def test_the_ballast_lets_the_end_be_written_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    assert journal._ballast.path.stat().st_size == BALLAST_BYTES
    job = journal.add("anna", "txt2img", "{}")
    journal.claim()
    full(journal)
    with pytest.raises(DiskTrouble, match="disk is full"):
        journal.add("bob", "txt2img", "x" * 100_000)
    drop = journal._ballast.drop
    dropped = []
    monkeypatch.setattr(journal._ballast, "drop", lambda: (drop(), dropped.append(journal._ballast.path.exists()), roomy(journal)))
    assert journal.finish(job.id, "failed", "The disk is full. " * 5000)
    assert dropped == [False]
    assert journal.get(job.id).state == "failed"
    assert journal._ballast.path.exists()
    assert journal._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    journal.close()


def test_a_failed_write_leaves_no_half_transaction(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("anna", "txt2img", "{}")
    full(journal)
    with pytest.raises(DiskTrouble):
        journal.add("anna", "txt2img", "x" * 100_000)
    assert journal.waiting() == 1
    roomy(journal)
    assert journal.add("anna", "txt2img", "x" * 100_000).seq == 2
    journal.close()


def test_a_closed_journal_answers_with_a_sentence(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    job = journal.add("anna", "txt2img", "{}")
    journal.close()
    journal.close()
    with pytest.raises(NotFound, match="closing"):
        journal.get(job.id)


def test_a_damaged_journal_is_told_as_trouble_with_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("anna", "txt2img", "{}")
    journal._db.execute("DROP TABLE turns")
    for touch in (journal.order, journal.claim):
        with pytest.raises(DiskTrouble, match="could not be read"):
            touch()
    journal._db.execute("DROP TABLE events")
    with pytest.raises(DiskTrouble, match="could not be written"):
        journal.add("anna", "txt2img", "{}")
    journal.close()
