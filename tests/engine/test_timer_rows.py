"""What a turn leaves in the table of timers: its last word on each, however often it changes its mind."""

from __future__ import annotations

from collections.abc import Callable

import apsw
import msgspec
import pytest

from tempolite.core.events import RunCreated
from tempolite.core.history import RunState
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.execution.run_log import RUN_STEP, RunLog
from tempolite.store import statements

OWN = StepKey("wait")


def resumed(log: RunLog) -> None:
    """The run ends, and is asked to go on."""
    log.drop_work()
    log.set_timer(RUN_STEP, 9)


def ended(log: RunLog) -> None:
    """The code starts a timer, and the run ends."""
    log.set_timer(OWN, 9)
    log.drop_work()


def begun_anew(log: RunLog) -> None:
    """The attempt that waited is over, and the next one waits as well."""
    log.clear_timer(OWN)
    log.set_timer(OWN, 9)


def taken_back(log: RunLog) -> None:
    """The code waits, and stops waiting."""
    log.set_timer(OWN, 9)
    log.clear_timer(OWN)


@pytest.mark.parametrize(
    ("turn", "rows"),
    [
        (resumed, {RUN_STEP: 9}),
        (ended, {}),
        (begun_anew, {RUN_STEP: 1, OWN: 9}),
        (taken_back, {RUN_STEP: 1}),
    ],
)
def test_the_last_word_of_a_turn_counts(turn: Callable[[RunLog], None], rows: dict[str, int]) -> None:
    """A crash after the commit finds the timers that the turn ended with."""
    created = RunCreated("a", "m:f", msgspec.Raw(b"[]"), 1, timeout_s=5.0)
    log = RunLog(WorkflowId("a"), StreamId(1), RunState(created))
    log.begin_turn(0)

    turn(log)

    assert rows_after(log) == rows


def rows_after(log: RunLog) -> dict[str, int]:
    """The timers of a file that had two, once the turn is committed."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE timers (stream, key, due_at, PRIMARY KEY (stream, key))")
    connection.executemany("INSERT INTO timers VALUES (?, ?, ?)", [(1, RUN_STEP, 1), (1, OWN, 1)])
    kinds = (statements.SET_TIMER, statements.CLEAR_TIMER, statements.CLEAR_TIMERS)
    for statement, row in sorted(log.turn().writes, key=lambda write: write[0].rank):
        if statement in kinds:
            values = f" ({', '.join('?' * len(row))})" if statement.is_insert else ""
            connection.execute(statement.sql + values, row)
    return dict(connection.execute("SELECT key, due_at FROM timers ORDER BY key"))
