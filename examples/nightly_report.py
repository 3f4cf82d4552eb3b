"""A report every night: a schedule starts a run for each due time, one and only one, also across restarts.

Shows a schedule by interval, a run that is triggered by hand, and a pause; ``"0 3 * * *"`` in the place of
the interval would be three o'clock each night. A night takes a fifth of a second here.

    python nightly_report.py [FOLDER]    # the reports are in FOLDER/reports; else in a temporary folder
"""

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tempolite import ActivityContext, Queue, ScheduleInfo, Tempolite, WorkflowContext

NIGHT = timedelta(seconds=0.2)
THREADS = Queue("default", kind="thread")


def write_report(ctx: ActivityContext, reports: str, shop: str) -> str:
    """The run's id is the schedule's name and the due time, so each night has a file of its own."""
    night = ctx.workflow_id.rpartition("/")[2].replace(":", "-")
    path = Path(reports, f"{night}.txt")
    path.write_text(f"Sales of {shop}, as of {night}\n")
    return path.name


def report(ctx: WorkflowContext, reports: str, shop: str) -> str:
    return ctx.activity("write", write_report, reports, shop).get()


def wait_for_nights(tp: Tempolite, count: int) -> None:
    while tp.count(function=report, status="COMPLETED") < count:
        time.sleep(0.01)


def next_night(nightly: ScheduleInfo) -> str:
    return f"{nightly.next_at:%H:%M:%S.%f}" if nightly.next_at else "never"


def main(folder: Path) -> None:
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    with Tempolite(folder / "reports.db", queues=[THREADS], workflows=[report]) as tp:
        before = tp.count(function=report, status="COMPLETED")
        nightly = tp.schedule("nightly", NIGHT, report, str(reports), "Main Street")
        nightly.resume()  # it was paused when this program ran on the same folder before
        print("next at", next_night(nightly))
        wait_for_nights(tp, before + 2)

        nightly.pause()
        tp.wait()
        print("paused; next at", next_night(nightly))
        by_hand = nightly.trigger()
        print("by hand:", by_hand.get())

        for info in reversed(tp.workflows(function=report)):
            print(f"{info.id}: {info.status}")
    print(f"{len(list(reports.glob('*.txt')))} reports")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
