"""Letters to runs that can't take them: who waits for an answer is told why there will be none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pykka._envelope import Envelope

from tempolite.actors.controls import Asked, Enqueue, QueryArrived, Resume
from tempolite.actors.futures import Reply
from tempolite.actors.messages import ChildEnded, RunEnded, StartRun, TryAgain
from tempolite.actors.run_store import Asker, StoredRun
from tempolite.errors import InvalidState, WorkflowAlreadyExists, WorkflowFinished


def wakes_finished(letter: Any, status: str) -> bool:
    """Whether a finished run must come to life for it."""
    if not isinstance(letter, Asked):
        return isinstance(letter, TryAgain)
    if isinstance(letter.message, Resume):
        return status != "COMPLETED" and not letter.message.by_parent
    return isinstance(letter.message, QueryArrived)


def fail_asked(letters: Iterable[Any], error: Exception) -> None:
    """Whoever waits for an answer to one of these is told why there will be none."""
    for letter in letters:
        reply: Reply[Any] | None = letter.reply if isinstance(letter, Asked) else None
        if reply is not None and not reply.is_set:
            reply.fail(error)


def refuse(letter: Any, error: Exception) -> None:
    """The directory is closed: whoever waits for an answer to its mail is told so."""
    if isinstance(letter, Envelope) and letter.reply_to is not None:
        letter.reply_to.fail(error)  # type: ignore[attr-defined]
    message = letter.message if isinstance(letter, Envelope) else letter
    fail_asked(getattr(message, "mail", ()), error)


def refuse_finished(stored: StoredRun, letter: Any) -> None:
    """The run has its outcome."""
    if isinstance(letter, Asked):
        text = f"workflow {stored.workflow!r} is {stored.status}"
        is_of_state = isinstance(letter.message, (Resume, Enqueue))
        fail_asked([letter], InvalidState(text) if is_of_state else WorkflowFinished(text))


def id_is_taken(message: StartRun, found: StoredRun) -> WorkflowAlreadyExists:
    """The id that a new run was to have belongs to another one."""
    return WorkflowAlreadyExists(
        f"workflow {message.workflow!r} exists, of function {found.function}; "
        f"asked for was {message.created.function}"
    )


def id_is_taken_by_a_child(message: StartRun, found: StoredRun) -> WorkflowAlreadyExists:
    """The id that a child was to have belongs to a workflow that somebody else asked for."""
    if found.parent is None:
        whose = "a root workflow"
    elif found.parent != message.created.parent:
        whose = f"a child of {found.parent!r}"
    else:
        whose = f"a child that another run, or another step, of {found.parent!r} asked for"
    return WorkflowAlreadyExists(
        f"workflow {message.workflow!r} exists: it is {whose}; give this child another id, or delete that one"
    )


def outcome_for_parent(asker: Asker, ended: RunEnded) -> ChildEnded:
    """What a parent is told of its child."""
    is_cancelled = ended.status == "CANCELLED"
    return ChildEnded(asker.step, ended.workflow, ended.result, ended.failure, is_cancelled, asker.stream)
