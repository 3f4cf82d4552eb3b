"""What a person sees: what goes on while the batch runs, and the tables afterwards."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import click

from tempolite.cli.demo import workflow
from tempolite.cli.demo.driver import EngineStarted, Files, Progress
from tempolite.cli.demo.effects import Kill
from tempolite.cli.demo.judge import Verdict
from tempolite.cli.demo.plan import DELIVERED, FAILED, REJECTED, Plan
from tempolite.cli.demo.story import Line

LOG_EVERY = 0.2
"""Where there is no terminal, progress is a line for each such share."""

RANK = {DELIVERED: 0, REJECTED: 1, FAILED: 2}

PROBLEMS_MAX = 20
"""More problems than that are counted, not shown."""


class LiveScreen:
    """Shows what happens while it does: one line that changes on a terminal, a few lines elsewhere."""

    def __init__(self, *, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._is_line_open = False
        self._next_share = LOG_EVERY
        self._latest: Progress | None = None

    def show(self, event: EngineStarted | Progress | Kill) -> None:
        """Tells of an event."""
        match event:
            case EngineStarted(engine=1, pid=pid):
                self._say(f"engine 1 (pid {pid}) opens the file and starts every order")
            case EngineStarted(engine=engine, pid=pid):
                self._say(f"engine {engine} (pid {pid}) opens the same file and goes on")
            case Kill(process="worker", pid=pid):
                self._say(f"SIGKILL to worker process {pid} of engine 1, which goes on without it")
            case Kill(pid=pid):
                self._say(f"SIGKILL to engine 1 (pid {pid}){self._bereaved()}")
            case Progress():
                self._follow(event)

    def _bereaved(self) -> str:
        if self._latest is None:
            return ""
        return f": {self._latest.orders_begun - self._latest.orders_done} orders were under way"

    def _follow(self, progress: Progress) -> None:
        self._latest = progress
        text = (
            f"  {progress.share:4.0%}  {progress.steps_done:,} of {progress.steps_all:,} steps,"
            f" {progress.orders_done} of {progress.orders_all} orders, {progress.retries} retries"
        )
        if self._is_terminal:
            click.echo(f"\r{text}", nl=False)
            self._is_line_open = True
        elif progress.share >= self._next_share:
            click.echo(text)
            self._next_share = progress.share // LOG_EVERY * LOG_EVERY + LOG_EVERY

    def _say(self, text: str) -> None:
        self.close()
        click.echo(text)

    def close(self) -> None:
        """Ends the line that changes."""
        if self._is_line_open:
            click.echo()
            self._is_line_open = False


def show_beginning(plans: Mapping[str, Plan], files: Files) -> None:
    """What is going to happen."""
    steps = sum(len(plan.units) for plan in plans.values())
    click.echo(f"{len(plans)} orders, {steps:,} steps, one SQLite file: {files.database}")


def show_summary(plans: Mapping[str, Plan], verdict: Verdict, kills: Sequence[Kill], seconds: float) -> None:
    """How the batch ended, as the effect log proves it."""
    ended = set(verdict.ended)
    units = [unit for order in ended for unit in plans[order].units]
    killed = Counter(kill.process for kill in kills)
    rows: list[tuple[object, ...]] = [
        *_endings([plan for order, plan in plans.items() if order in ended]),
        (f"{len(units):,}", "steps", "done, in the right order"),
        (sum(unit.attempt > 1 for unit in units), "retries", "of calls that the carrier did not answer"),
        (len(verdict.repeats), "repeats", "of steps that were in flight at a kill: at least once"),
        (killed["worker"], "worker killed", "and replaced"),
        (killed["engine"], "engine killed", "and started again on the same file"),
        (f"{seconds:.1f}", "seconds", "for the batch, from the first start to the last end"),
    ]
    click.echo("\nSummary, by the effect log that the activities wrote")
    _table(rows)


def show_records(statuses: Mapping[str, int], order: str, lines: Iterable[Line]) -> None:
    """What the engine itself knows: how many orders ended how, and one order's history."""
    listing = ", ".join(f"{count} {status}" for status, count in statuses.items() if count)
    click.echo(f"\nThe engine's own records: {listing}. History of {order}:")
    rows = []
    for line in lines:
        attempt = f"attempt {line.attempt}" if line.attempt > 1 else ""
        rows.append((f"{line.ms:,.0f} ms", line.event, line.step, attempt, line.value))
    _table(rows)


def show_verdict(verdict: Verdict, plans: Mapping[str, Plan]) -> None:
    """What the judge says."""
    if not verdict.problems:
        click.echo(f"\nAll {len(plans)} orders ended as they must, and nothing that was recorded ran twice.")
        return
    click.echo(f"\n{len(verdict.problems)} things went wrong, by the effect log:")
    for problem in verdict.problems[:PROBLEMS_MAX]:
        click.echo(f"  {problem}")
    if len(verdict.problems) > PROBLEMS_MAX:
        click.echo(f"  ... and {len(verdict.problems) - PROBLEMS_MAX} more")


def show_end(files: Files, order: str, *, is_kept: bool) -> None:
    """Where everything lies, and what to type next."""
    if is_kept:
        program = (
            "from tempolite import Tempolite\n"
            f"with Tempolite({json.dumps(str(files.database))}) as tp:\n"
            f'    print(*tp.history({json.dumps(order)}), sep="\\n")'
        )
        click.echo("\nWhat to type next")
        click.echo(f"  less {shlex.quote(workflow.__file__)}    # the code that did this")
        click.echo(f"  less {shlex.quote(str(files.effects))}    # what the judge read")
        click.echo(f"  {shlex.quote(sys.executable)} -c {shlex.quote(program)}")
    else:
        click.echo("\nThe demo's files are removed, as you asked.")


def _endings(plans: Iterable[Plan]) -> list[tuple[int, str, str]]:
    """How often each ending came about: what went well first, then by number."""
    counts = Counter((plan.ending, plan.reason) for plan in plans)
    ranked = sorted(counts.items(), key=lambda each: (RANK[each[0][0]], -each[1]))
    return [(count, ending, reason) for (ending, reason), count in ranked]


def _table(rows: Sequence[tuple[object, ...]]) -> None:
    """Prints columns, the first flush right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *rest in cells:
        padded = [cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        click.echo("  ".join(["", first.rjust(widths[0]), *padded]).rstrip())
