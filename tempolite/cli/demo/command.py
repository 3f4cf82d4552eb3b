"""``tempolite demo``: from the files to the exit code."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path

import click
import msgspec

from tempolite import Status, Tempolite, TempoliteError
from tempolite.cli.demo.batch import numbered
from tempolite.cli.demo.driver import DemoFailed, Files, drive
from tempolite.cli.demo.effects import Kill, read_effects
from tempolite.cli.demo.judge import Verdict, judge
from tempolite.cli.demo.plan import Plan, plan_for
from tempolite.cli.demo.screen import (
    LiveScreen,
    show_beginning,
    show_end,
    show_records,
    show_summary,
    show_verdict,
)
from tempolite.cli.demo.story import most_telling_order, story_of
from tempolite.cli.demo.workflow import fulfil

ORDERS = "orders.jsonl"
"""The batch that the package ships."""


@click.command()
@click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Database file to make, the demo's other files beside it. Default: in a fresh temporary folder.",
)
@click.option("--keep/--no-keep", "is_kept", default=True, show_default=True, help="Leave the folder there?")
def demo(database: Path | None, is_kept: bool) -> None:
    """Fulfils a batch of orders, killing a worker and then the engine on the way.

    Exit code 0 says that every order ended as it must and that nothing that was recorded ran twice, judged by
    a log that the activities write, not by what the engine believes.
    """
    if database and not is_kept:
        raise click.UsageError("--no-keep is for the temporary folder; with --db the files are yours")
    try:
        with _folder(database, is_kept=is_kept) as folder:
            verdict = _play(_files(folder, database), is_kept=is_kept)
    except (DemoFailed, TempoliteError, msgspec.DecodeError) as problem:
        raise click.ClickException(str(problem)) from problem
    sys.exit(1 if verdict.problems else 0)


def _play(files: Files, *, is_kept: bool) -> Verdict:
    plans = {order: plan_for(line) for order, line in numbered(files.orders)}
    show_beginning(plans, files)
    began = time.monotonic()
    _run(files, plans)
    seconds = time.monotonic() - began

    entries = read_effects(files.effects)
    kills = [entry for entry in entries if isinstance(entry, Kill)]
    verdict = judge(plans, entries)
    order = most_telling_order(plans, entries)
    if not verdict.problems:
        _tell(files, order, kills)
    show_summary(plans, verdict, kills, seconds)
    show_verdict(verdict, plans)
    show_end(files, order, is_kept=is_kept)
    return verdict


def _tell(files: Files, order: str, kills: Sequence[Kill]) -> None:
    """Opens the file once more, now only to read."""
    with Tempolite(files.database) as tp:
        statuses = {status.value: tp.count(function=fulfil, status=status) for status in Status}
        show_records(statuses, order, story_of(tp, order, kills))


def _run(files: Files, plans: Mapping[str, Plan]) -> None:
    screen = LiveScreen(is_terminal=sys.stdout.isatty())
    with contextlib.closing(screen), contextlib.closing(drive(files, plans)) as events:
        for event in events:
            screen.show(event)


@contextlib.contextmanager
def _folder(database: Path | None, *, is_kept: bool) -> Generator[Path, None, None]:
    """Where everything goes; a temporary folder is removed unless it is to be kept."""
    if database is not None:
        yield database.absolute().parent
        return
    folder = Path(tempfile.mkdtemp(prefix="tempolite-demo-"))
    try:
        yield folder
    finally:
        if not is_kept:
            shutil.rmtree(folder)


def _files(folder: Path, database: Path | None) -> Files:
    """The demo's files; those that it writes are new, so that the judge sees this batch and no other."""
    name = database.name if database else "demo.db"
    stem = Path(name).stem
    files = Files(
        orders=Path(str(resources("tempolite.cli"))) / ORDERS,
        database=folder / name,
        effects=folder / f"{stem}.effects.jsonl",
        engine_log=folder / f"{stem}.engine.log",
    )
    for file in (files.database, files.effects, files.engine_log):
        if file.exists():
            raise click.UsageError(f"{file} exists already; the demo begins with new files")
    try:
        files.effects.touch(mode=0o600)
    except OSError as error:
        raise click.UsageError(f"can't write in {folder}: {error.strerror}") from None
    return files
