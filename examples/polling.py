"""Polling a job elsewhere: asked again and again, less and less often, until it is done or its time is over.

The pauses are durable timers: between two looks the run is nothing but a row in the file, however long the
job takes. The deadline is a timer too, which goes on while the job is polled. A render farm in a folder
stands in for the service; its jobs take as long as they are told to.

    python polling.py [FOLDER]    # the farm's jobs are in FOLDER/farm; else in a temporary folder
"""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tempolite import ActivityContext, Queue, Tempolite, WorkflowContext

FIRST_PAUSE_S = 0.02
LAST_PAUSE_S = 0.2


@dataclass
class Film:
    title: str
    takes_s: float
    deadline_s: float


# ── activities: the service's API ───────────────────────────────────────────────────────────────────────────


def submit(ctx: ActivityContext, farm: str, film: Film) -> str:
    """The key makes it one job, however often this runs."""
    job = Path(farm, ctx.idempotency_key.replace(":", "-") + ".json")
    if not job.exists():
        job.write_text(json.dumps({"title": film.title, "ready_at": time.time() + film.takes_s}))
    return str(job)


def is_ready(job: str) -> bool:
    return bool(time.time() >= json.loads(Path(job).read_text())["ready_at"])


def fetch(job: str) -> str:
    path = Path(job).with_suffix(".film")
    path.write_text(f"{json.loads(Path(job).read_text())['title']}\n")
    return path.name


def withdraw(job: str) -> None:
    Path(job).unlink()


# ── the workflow ────────────────────────────────────────────────────────────────────────────────────────────


def render(ctx: WorkflowContext, farm: str, film: Film) -> str:
    deadline = ctx.timer("deadline", film.deadline_s)
    job = ctx.activity("submit", submit, farm, film).get()
    pause_s, looks = FIRST_PAUSE_S, 1
    while not ctx.activity("look", is_ready, job).get():
        ctx.set_status(f"not ready after {looks} looks")
        if ctx.wait_any(deadline, ctx.timer("pause", pause_s)) is deadline:
            ctx.activity("withdraw", withdraw, job).get()
            raise TimeoutError(f"{film.title!r} was not ready in {film.deadline_s} s")
        pause_s, looks = min(2 * pause_s, LAST_PAUSE_S), looks + 1
    ctx.activity("fetch", fetch, job).get()
    return f"ready, seen at look {looks}"


def main(folder: Path) -> None:
    farm = folder / "farm"
    farm.mkdir(parents=True, exist_ok=True)
    films = [Film("trailer", 0, 5), Film("short", 0.3, 30), Film("epic", 3_600, 0.5)]
    with Tempolite(folder / "polling.db", queues=[Queue("default", kind="thread")]) as tp:
        runs = [tp.execute(None, render, str(farm), film) for film in films]
        for film, info in zip(films, runs, strict=True):
            try:
                print(f"{film.title}: {info.get()}")
            except TimeoutError as too_late:
                print(f"{film.title}: {too_late}; the last it said was {info.status_text!r}")
    finished = sorted(path.read_text().strip() for path in farm.glob("*.film"))
    print(f"films: {', '.join(finished)}; jobs at the farm: {len(list(farm.glob('*.json')))}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
