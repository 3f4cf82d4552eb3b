"""Every message that passes between actors: frozen, documented field by field.

Messages that only one actor understands stand here as well, because their senders need them. They are
``msgspec`` structs because those are made in a tenth of the time of a frozen dataclass, and a loaded
engine makes 100,000 a second.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pykka

from tempolite.actors.frames import About
from tempolite.core.events import Entry, RunCreated
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.saga import Decision, Progress
from tempolite.core.terms import ANY_TERMS, Terms


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something that one actor tells another.

    Untracked by the cycle collector, which would otherwise spend a fifth of a loaded engine's time on
    them: a message lives until it is read, and a closed inbox drops its mail.
    """


# ── to the persistence actor ────────────────────────────────────────────────────────────────────────────


class Statement(msgspec.Struct, frozen=True):
    """A named piece of SQL that writes; the texts live in ``tempolite.store``.

    Attributes:
        name: how errors and logs call it.
        sql: the text; for an insert everything up to and with ``VALUES``.
        columns: parameters of one row.
        rank: place within a batch; statements of a lower rank are executed first.
        is_insert: many rows may be written by one execution.
        is_stamped: the writer appends the engine's epoch and the batch number to each row (they are the first
            two parameters of what is no insert), and chains the row's last parameter (its checksum) into
            the digest of the batch.
    """

    name: str
    sql: str
    columns: int
    rank: int
    is_insert: bool = False
    is_stamped: bool = False


Write = tuple[Statement, tuple[Any, ...]]


class Commit(Message, frozen=True):
    """Make these writes durable, all or none, and tell the sender.

    Attributes:
        sender: gets ``Committed`` or ``CommitFailed``.
        turn: number that comes back with the answer.
        writes: statements and their parameters.
    """

    sender: pykka.ActorRef[Any]
    turn: int
    writes: list[Write]


class Flush(Message, frozen=True):
    """Write what waits, now; answered when that is done."""


class GiveSpaceBack(Message, frozen=True):
    """Give a part of the pages that hold nothing back; answered with how many are left."""


class Committed(Message, frozen=True):
    """The writes of that turn are durable: a power loss can't undo them."""

    turn: int


class CommitFailed(Message, frozen=True):
    """The writes of that turn are not in the file, and will not be.

    Attributes:
        turn: the turn.
        error: why.
        is_final: the database can't be written any more; trying again is of no use.
    """

    turn: int
    error: Exception
    is_final: bool = False


# ── to a workflow actor ─────────────────────────────────────────────────────────────────────────────────


class Begin(Message, frozen=True):
    """Run the code: from the start, or through its history to where it was."""


class ActivityEnded(Message, frozen=True):
    """An attempt of an activity is over.

    Attributes:
        step: whose.
        schedule: sequence number of the ``ActivityScheduled`` that the attempt belongs to.
        attempt: which attempt, from 1.
        result: the value, as the codec's JSON; None where it failed.
        failure: how it failed.
        heartbeat: details of its last heartbeat, as the codec's JSON; empty for none.
        began_at: when it began, in µs since the epoch; None where nobody asked for that.
    """

    step: StepKey
    schedule: int
    attempt: int
    result: bytes | None = None
    failure: Failure | None = None
    heartbeat: bytes = b""
    began_at: int | None = None


class ActivityLost(Message, frozen=True):
    """The worker process died while nothing but this activity ran in it.

    Attributes:
        step: whose.
        schedule: as in ``ActivityEnded``.
        attempt: which attempt; it is not used up.
        cause: what ended the process: ``SIGKILL``, ``exit code 3``.
        heartbeat, began_at: as in ``ActivityEnded``.
    """

    step: StepKey
    schedule: int
    attempt: int
    cause: str
    heartbeat: bytes = b""
    began_at: int | None = None


class ActivityNext(Message, frozen=True):
    """An at-most-once attempt is next in line: record that it starts, then ask for it again as cleared.

    Attributes:
        step, schedule, attempt: as in ``ActivityEnded``.
    """

    step: StepKey
    schedule: int
    attempt: int


class SideEffectEnded(Message, frozen=True):
    """A side effect ran; fields as in ``ActivityEnded``."""

    step: StepKey
    result: bytes | None = None
    failure: Failure | None = None


class ChildEnded(Message, frozen=True):
    """A child reached its outcome.

    Attributes:
        step: the parent's step that asked for it.
        child: its workflow id.
        result: the value, as the codec's JSON; None where it failed.
        failure: how it failed.
        cancelled: it was cancelled.
        parent_stream: which run of the parent asked for it; it means nothing to another one.
    """

    step: StepKey
    child: WorkflowId
    result: bytes | None = None
    failure: Failure | None = None
    cancelled: bool = False
    parent_stream: int | None = None


class RetryDue(Message, frozen=True):
    """The wait before the next attempt is over: of an activity, or of the run where ``step`` is empty."""

    step: StepKey


class TimerDue(Message, frozen=True):
    """A durable timer's time has come.

    Attributes:
        key: the step, or empty for the time-out of the whole run.
    """

    key: StepKey


class TryAgain(Message, frozen=True):
    """A failed or cancelled run goes on in a new attempt, until it has begun that many so.

    Attributes:
        times: attempts that began because somebody asked for them.
    """

    times: int


# ── to the directory ────────────────────────────────────────────────────────────────────────────────────


class StartRun(Message, frozen=True):
    """Make a run durable and start it; answered with its id once committed.

    Attributes:
        workflow: the id; if a run of the same function has it, that run is the answer.
        created: the first event of its stream.
        starter: the parent that asked, which is told the outcome; None for root runs.
        must_be_new: refuse a taken id even where the function is the same.
        times: how often the starter has asked for it anew; a failed child tries again until it has as often.
        is_made_up: the id was made for this run, so nobody can have it.
        code: the workflow's function as the caller holds it; it may be one that no name leads to.
        prelude: entries that its history begins with, behind the first; they are numbered so already.
    """

    workflow: WorkflowId
    created: RunCreated
    starter: WorkflowId | None = None
    must_be_new: bool = False
    times: int = 0
    is_made_up: bool = False
    code: Any = None
    prelude: tuple[Entry, ...] = ()


class AwaitOutcome(Message, frozen=True):
    """Answer with the ``RunEnded`` of this workflow once it is finished."""

    workflow: WorkflowId


CONTINUED = "CONTINUED"
"""Stands for a status where a run ended by beginning the next one."""


class RunEnded(Message, frozen=True):
    """A run's outcome is durable.

    Attributes:
        workflow: whose.
        status: ``COMPLETED``, ``FAILED`` or ``CANCELLED``; ``STUCK`` and ``STRANDED`` for who waits;
            :data:`CONTINUED` where the next run of the workflow has begun.
        result: the value, as the codec's JSON.
        failure: how it failed.
        problem: why it is stuck or stranded.
    """

    workflow: WorkflowId
    status: str
    result: bytes | None = None
    failure: Failure | None = None
    problem: str = ""


class Deliver(Message, frozen=True):
    """Hand this message to the workflow's actor, bringing the run to life if need be.

    Attributes:
        workflow: whose.
        message: what.
    """

    workflow: WorkflowId
    message: Any


class RunStopped(Message, frozen=True):
    """A workflow actor has nothing left to do; the directory forgets it, and tells who waits.

    Attributes:
        stream: of which run.
        ended: how it ended, or why it can't go on.
        mail: what it had not read; it is for the next run, or answered with what became of this one.
    """

    stream: StreamId
    ended: RunEnded
    mail: list[Any] = []


class PutAway(Message, frozen=True):
    """Leave memory, unless there is something to do; told to a workflow actor by the directory."""


class RunLeft(Message, frozen=True):
    """A workflow actor has left memory; its run comes to life again with the next message.

    Attributes:
        workflow, stream: whose.
    """

    workflow: WorkflowId
    stream: StreamId


class FunctionRegistered(Message, frozen=True):
    """A function became known: runs that were stranded for it go on."""

    names: tuple[str, ...]


class QueueCreated(Message, frozen=True):
    """A queue became known: runs that were stranded without it go on.

    Attributes:
        queue: its name.
        max_runs: root runs active at once, where it limits them.
    """

    queue: str
    max_runs: int | None


class DeleteRuns(Message, frozen=True):
    """Delete these workflows as far as they are finished; answered with how many were, once committed.

    Attributes:
        workflows: which; unknown and unfinished ones are passed over.
        patience: rounds that those get which have their outcome and are just leaving the memory.
    """

    workflows: tuple[WorkflowId, ...]
    patience: int = 100


class AwaitIdle(Message, frozen=True):
    """Answer when no run can go on without something from outside."""


class Recover(Message, frozen=True):
    """Bring to life what has work to do; answered when that is under way."""


class RecoverMore(Message, frozen=True):
    """The next part of a recovery."""


# ── to an activity pool ─────────────────────────────────────────────────────────────────────────────────


class ActivityJob(msgspec.Struct, frozen=True, gc=False):
    """One attempt of an activity, ready to run.

    Attributes:
        sender: the workflow actor, told of the end.
        workflow: id of its run.
        step: its step.
        schedule: sequence number of the scheduling.
        attempt: from 1.
        call: the callable with its options, as the definitions know it; opaque to actors.
        args: arguments, as the codec's JSON.
        idempotency_key: the same across retries and crashes.
        terms: what its options say.
        is_suspect: a worker died under it: it runs alone.
        deadline_at: when all attempts have had their time, in µs since the epoch; None where it is not known.
        heartbeat: details of the last heartbeat before this attempt, as the codec's JSON; empty for none.
        is_cleared: that it starts is recorded.
    """

    sender: pykka.ActorRef[Any]
    workflow: WorkflowId
    step: StepKey
    schedule: int
    attempt: int
    call: Any
    args: bytes
    idempotency_key: str
    terms: Terms = ANY_TERMS
    is_suspect: bool = False
    deadline_at: int | None = None
    heartbeat: bytes = b""
    is_cleared: bool = False

    def attempt_key(self) -> str:
        """Tells this attempt from every other one, across crashes."""
        return f"{self.idempotency_key}#{self.attempt}"

    def about(self) -> About:
        """What the activity may know of itself."""
        return About(str(self.workflow), str(self.step), self.attempt, self.idempotency_key, self.heartbeat)


class RunActivity(Message, frozen=True):
    """Run this attempt when a worker is free."""

    job: ActivityJob


class CancelActivities(Message, frozen=True):
    """Stop and forget these attempts: nobody waits for them any more.

    Attributes:
        workflow: id of their run.
        steps: which; all of the run's when empty.
    """

    workflow: WorkflowId
    steps: tuple[StepKey, ...] = ()


class WorkerSpoke(Message, frozen=True):
    """Frames that a worker sent.

    Attributes:
        worker: which one.
        frames: decoded, in the order they were sent.
    """

    worker: Any
    frames: list[Any]


class WorkerDied(Message, frozen=True):
    """A worker is gone and everything that it sent has been read.

    Attributes:
        worker: which one.
        cause: ``SIGKILL``, ``exit code 3``.
    """

    worker: Any
    cause: str


class AttemptExpired(Message, frozen=True):
    """An attempt has had its time.

    Attributes:
        job_id: the pool's number of the attempt.
    """

    job_id: int


class Scale(Message, frozen=True):
    """Have so many workers from now on; answered when that is arranged.

    Idle workers leave at once, busy ones after their work. With 0 the pool accepts and holds.

    Attributes:
        workers: how many at most.
    """

    workers: int


class Drain(Message, frozen=True):
    """Start nothing more; answered when nothing runs any more."""


class ShutDown(Message, frozen=True):
    """End every worker, kill what still runs; answered when all are gone."""


# ── to the side-effect actor ────────────────────────────────────────────────────────────────────────────


class RunSideEffect(Message, frozen=True):
    """Call ``function`` on a thread and tell ``sender``.

    Attributes:
        sender: gets ``SideEffectEnded``.
        step: its step.
        function: takes nothing; returns the value as the codec's JSON, or raises.
    """

    sender: pykka.ActorRef[Any]
    step: StepKey
    function: Any


# ── between a run and the saga coordinator ──────────────────────────────────────────────────────────────


class AdviseSaga(Message, frozen=True):
    """Say what a saga does next.

    Attributes:
        sender: the workflow actor, which gets a ``SagaAdvice``.
        workflow: id of its run.
        step: the saga, or its compensation, among the run's steps.
        state: where it stands.
    """

    sender: pykka.ActorRef[Any]
    workflow: WorkflowId
    step: StepKey
    state: Progress


class SagaAdvice(Message, frozen=True):
    """What a saga does next, provided that it still stands where it did.

    Attributes:
        step: as in ``AdviseSaga``.
        decision: what.
        state: where it stood when it was asked for.
    """

    step: StepKey
    decision: Decision
    state: Progress


# ── to the timer actor ──────────────────────────────────────────────────────────────────────────────────


class SetTimer(Message, frozen=True):
    """Deliver ``message`` to the workflow when it is due.

    Attributes:
        workflow: whose.
        key: replaces an earlier timer of the same workflow and key.
        due_us: µs since the epoch.
        message: what.
        is_durable: it stands in the file as well.
    """

    workflow: WorkflowId
    key: str
    due_us: int
    message: Any
    is_durable: bool = False


class ForgetTimers(Message, frozen=True):
    """Workflows are being deleted: nothing falls due for them any more.

    Attributes:
        workflows: their ids, which new ones may have soon.
    """

    workflows: frozenset[WorkflowId]


class CancelTimer(Message, frozen=True):
    """Forget a timer that may or may not be set.

    Attributes:
        workflow: whose.
        key: which.
    """

    workflow: WorkflowId
    key: str


# ── to the retention actor ──────────────────────────────────────────────────────────────────────────────


class RunFinished(Message, frozen=True):
    """A run has its outcome: it may be the next whose time to go comes."""
