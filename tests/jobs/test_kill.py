"""kill -9 in the middle of batches: nothing half-written, nothing forgotten, and one click runs it again."""

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from app.jobs import JobQueue
from app.library import Library

ROOT = Path(__file__).resolve().parents[2]
KILLS = 5
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from app.jobs import JobQueue
from app.library import Library
from app.request import Txt2Img, parse_json
from app.work import Picture, Progress
root = Path(sys.argv[1])
library, queue = Library(root), JobQueue(root / ".darkroom" / "jobs")
for job in queue.recovered:
    queue.adopt(job.id, tuple(saved.id for saved in library.of_job(job.id)))
def work(job, control):
    request = parse_json(job.request)
    for index in range(request.pictures):
        control.report(Progress("sampling", index + 1, request.pictures, 1, 1))
        noise = np.random.default_rng(index).integers(0, 256, (128, 128, 3), dtype=np.uint8)
        control.add_output(library.save(Picture(Image.fromarray(noise), index, request.seed + index), request, job.id, job.owner).id)
        sys.stdout.write("saved\\n"); sys.stdout.flush()
for seed in range(6):
    queue.submit("anna", "txt2img", Txt2Img(seed=seed, batch_size=4).model_dump_json())
queue.start(work)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a matter of POSIX")
def test_after_five_kills_everything_is_whole_and_known(tmp_path: Path) -> None:
    dice = random.Random(7)
    checked: set[Path] = set()
    for _ in range(KILLS):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            for _ in range(dice.randint(2, 7)):
                assert process.stdout.readline() == "saved\n", process.stderr.read()
            for _ in range(dice.randint(0, 20_000)):  # somewhere within the next picture
                pass
            process.kill()
        for path in {path for path in tmp_path.glob("txt2img-images/*/*.png") if not path.name.startswith(".part-")} - checked:
            with Image.open(path) as image:
                image.load()
            checked.add(path)
    assert len(checked) >= 2 * KILLS

    library, queue = Library(tmp_path), JobQueue(tmp_path / ".darkroom" / "jobs")
    assert len(queue.recovered) <= 1  # none when the kill fell between two jobs
    for job in queue.recovered:
        queue.adopt(job.id, tuple(saved.id for saved in library.of_job(job.id)))
    assert not list(tmp_path.rglob(".part-*"))
    on_disk = sorted(tmp_path.glob("txt2img-images/*/*.png"))
    rows = library.newest(None, 1000)
    assert sorted(row.path for row in rows) == on_disk == sorted(tmp_path / path for path in library._index.paths())

    jobs = [view.job for view in queue.list("anna", 1000)]
    assert {job.state for job in jobs} <= {"queued", "done", "interrupted"}
    assert 1 <= sum(job.state == "interrupted" for job in jobs) <= KILLS
    assert all(len(job.outputs) == 4 for job in jobs if job.state == "done")
    assert sorted(picture for job in jobs for picture in job.outputs) == sorted(row.id for row in rows)
    interrupted = next(job for job in jobs if job.state == "interrupted")
    assert queue.rerun(interrupted.id, "anna").request == interrupted.request
    queue.close()
    library.close()
    for database in (tmp_path / ".darkroom" / "library.db", tmp_path / ".darkroom" / "jobs" / "jobs.db"):
        connection = sqlite3.connect(database)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        connection.close()
