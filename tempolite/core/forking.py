"""What a fork keeps of the history it comes from. Pure.

::

    of:      created · a scheduled · signal · a completed · attempt began · b scheduled · …
    before b:          a scheduled            a completed                 ▲ live from here
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tempolite.core import events
from tempolite.core.events import Entry
from tempolite.core.history import RunState, fold
from tempolite.core.identifiers import StepKey
from tempolite.core.saga_steps import is_compensation, saga_of, undo_key
from tempolite.core.step_records import StepKind

FIRST_SEQ = 2
"""Of what is kept; 1 is the fork's own ``RunCreated``."""


def kept_entries(entries: Sequence[Entry], before: StepKey) -> list[Entry]:
    """The entries that a fork begins with, in their order, numbered as they will be there.

    A step is kept, from its scheduling to its outcome, where that outcome stood when ``before`` was last
    scheduled: what had failed in an earlier attempt of the run is not, nor what was still under way. With
    the steps go the signals that they took, and the updates until then. What happened to the run itself
    is its own.

    Raises:
        KeyError: there is no such step.
    """
    cut = fold(entries).steps[before].scheduled_seq
    earlier = [entry for entry in entries if entry.seq < cut]
    state = fold(earlier)
    spans = dict(_spans(state))
    signals = {
        entry.body.signal
        for entry in earlier
        if isinstance(entry.body, events.SignalTaken) and _stands(entry, spans)
    }
    kept = [entry for entry in earlier if _is_kept(entry, spans, signals)]
    return list(_renumbered(kept))


def _spans(state: RunState) -> Iterable[tuple[StepKey, range]]:
    """Where the entries of each step lie that stands: from its scheduling to its outcome."""
    for key, step in state.steps.items():
        if step.kind is StepKind.SAGA_STEP and not _stands_with_saga(key, state):
            continue
        if step.outcome is not None:
            yield key, range(step.scheduled_seq, step.outcome.seq + 1)
        elif step.kind is StepKind.VERSION:
            # A mark has no outcome: it is one.
            yield key, range(step.scheduled_seq, step.scheduled_seq + 1)


def _stands_with_saga(key: StepKey, state: RunState) -> bool:
    """Whether what a saga's step was done for came to its end: the saga, or the undoing of a complete one."""
    saga = state.steps[saga_of(key)[0]]
    if saga.outcome is not None and saga.outcome.is_success and is_compensation(key):
        undo = state.steps.get(undo_key(saga.key))
        return undo is not None and undo.outcome is not None
    return saga.outcome is not None


def _stands(entry: Entry, spans: dict[StepKey, range]) -> bool:
    return entry.seq in spans.get(entry.step, ())


def _is_kept(entry: Entry, spans: dict[StepKey, range], signals: set[int]) -> bool:
    if entry.step:
        return _stands(entry, spans)
    return entry.seq in signals or isinstance(entry.body, events.UpdateAccepted)


def _renumbered(kept: Iterable[Entry]) -> Iterable[Entry]:
    numbers: dict[int, int] = {}
    for seq, entry in enumerate(kept, start=FIRST_SEQ):
        numbers[entry.seq] = seq
        body = entry.body
        if isinstance(body, events.SignalTaken):
            body = msgspec.structs.replace(body, signal=numbers[body.signal])
        elif isinstance(body, events.SignalReceived):
            # It was sent to the other workflow: the same text sent to this one is new here.
            body = msgspec.structs.replace(body, dedup=None)
        yield msgspec.structs.replace(entry, seq=seq, body=body)
