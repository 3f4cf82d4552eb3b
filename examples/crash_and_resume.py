"""Killed in the middle, it goes on: a program that prints a book of six pages is killed after three.

The program starts itself twice, on the same file. The first one gets SIGKILL, as in a power cut: no
``finally``, no ``close``. The second one finds the run in the file and goes on with page four; no page is
printed twice.

    python crash_and_resume.py [FOLDER]    # leaves the pages, journal.txt and book.db in FOLDER, if given
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tempolite import Tempolite, WorkflowContext

PAGES = 6


def print_page(folder: str, page: int) -> None:
    Path(folder, f"page-{page}.txt").write_text(f"This is page {page}.\n")
    with open(Path(folder, "journal.txt"), "a", encoding="utf-8") as journal:
        journal.write(f"page {page}\n")


def cut_the_power(folder: str) -> str:
    """Kills the process that runs it, which is the engine's; but only once."""
    trace = Path(folder, "power-cut")
    if trace.exists():
        return "there was a power cut here"
    trace.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody gets here")


def print_book(ctx: WorkflowContext, folder: str) -> str:
    for page in range(1, PAGES + 1):
        ctx.activity(f"page {page}", print_page, folder, page).get()
        ctx.set_status(f"{page} of {PAGES} pages printed", progress=page / PAGES)
        if page == PAGES // 2:
            ctx.side_effect("power", lambda: cut_the_power(folder)).get()
    return "the book is printed"


def print_or_go_on(folder: Path) -> None:
    """What the program does at each start: there is nothing special about a start after a crash."""
    with Tempolite(folder / "book.db", workflows=[print_book]) as tp:
        book = tp.execute("book", print_book, str(folder))  # the same id: the run that is there, if it is
        print(book.get())


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for start in ("first", "second"):
        done = subprocess.run(
            [sys.executable, __file__, str(folder), "start"], stdout=subprocess.PIPE, text=True
        )
        how = "killed" if done.returncode == -signal.SIGKILL else f"exit code {done.returncode}"
        print(f"{start} start: {how}", *done.stdout.splitlines(), sep=", ")
        print("  journal:", ", ".join(Path(folder, "journal.txt").read_text().splitlines()))


if __name__ == "__main__":
    if sys.argv[2:] == ["start"]:
        print_or_go_on(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
