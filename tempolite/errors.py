"""Everything Tempolite raises, and whose fault it is.

::

    TempoliteError
    ├── InvalidArguments (TypeError)      the call itself is wrong: nothing was recorded
    │   ├── NotStorable                   a value that the codec can't carry, with its path
    │   └── PayloadTooLarge
    ├── EngineError                       the engine can't serve the call
    │   ├── EngineClosed                  not started, closed, or closed while waiting
    │   │   ├── ConnectionLost            a client's engine ended during the call: outcome unknown
    │   │   └── EngineCrashed             dropped by a test, as SIGKILL would
    │   ├── Deadlock (RuntimeError)       under a seed: nothing can go on, and somebody waits
    │   ├── EngineLocked                  another engine holds the file
    │   ├── UnsupportedPlatform
    │   ├── StorageError                  the file
    │   │   ├── NotADatabase              foreign file
    │   │   ├── SchemaTooNew
    │   │   ├── WrongKey
    │   │   ├── DatabaseDamaged           checksums, chain, or a file that went back in time
    │   │   └── StorageFailed             a write whose outcome is not success
    │   │       └── StorageFull
    │   └── Busy                          a bound was reached: try again later
    ├── LookupFailed (LookupError)
    │   ├── WorkflowNotFound
    │   ├── QueueNotFound
    │   ├── ScheduleNotFound
    │   ├── HandlerNotFound               no such query or update handler
    │   └── NotRegistered                 a function that the owner of the file does not know
    ├── StateError                        right call, wrong moment
    │   ├── WorkflowAlreadyExists
    │   ├── WorkflowFinished
    │   ├── QueueExists
    │   └── InvalidState
    ├── WorkflowCodeError                 workflow code that can't be right
    │   ├── NonDeterminismError
    │   ├── VersionNotSupported
    │   ├── NotAllowedInWorkflow
    │   └── TurnTooLong
    └── OutcomeError                      how a step or run ended
        ├── ActivityError                 an activity's error that can't be raised as itself
        │   ├── WorkerLost
        │   ├── UnknownOutcome
        │   ├── ActivityTimeout (TimeoutError)
        │   │   └── HeartbeatTimeout
        │   └── DeadlineExceeded (TimeoutError)
        ├── WorkflowFailed                a run's error that can't be raised as itself
        │   └── WorkflowTimeout (TimeoutError)
        ├── WorkflowCancelled
        ├── WorkflowStuck
        ├── WorkflowStranded
        ├── SagaCompensated
        ├── SagaFailed
        └── NonRetryable                  raised by user code: do not try this again

    Cancelled (asyncio.CancelledError)    raised inside a workflow; never a TempoliteError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    Cancelled = asyncio.CancelledError


class TempoliteError(Exception):
    """Base of every error of this package, but :class:`Cancelled`."""


class InvalidArguments(TempoliteError, TypeError):
    """The call is wrong: count or names of arguments, a value out of range, something not callable."""


class NotStorable(InvalidArguments):
    """A value that the codec can't carry exactly; the message has its path and the remedy."""


class PayloadTooLarge(InvalidArguments):
    """A value whose encoded form is larger than the engine's ``payload_limit``."""


class EngineError(TempoliteError):
    """The engine can't serve the call."""


class EngineClosed(EngineError):
    """The engine is not started, is closed, or was closed while the call waited."""


class ConnectionLost(EngineClosed):
    """The engine that a client spoke to ended during the call, which may or may not have taken effect."""


class EngineCrashed(EngineClosed):
    """The engine was dropped by a test, as SIGKILL would have done."""


class Deadlock(EngineError, RuntimeError):
    """Under a seed: a call waits for what can never come, because nothing is left that could go on."""


class EngineLocked(EngineError):
    """Another engine holds the file.

    Attributes:
        pid: process id of the holder, or None where it could not be read.
    """

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class UnsupportedPlatform(EngineError):
    """Tempolite needs Linux 5.3 or newer (pidfd) and a SQLite without the WAL-reset fault."""


class StorageError(EngineError):
    """Something about the database file."""


class NotADatabase(StorageError):
    """The file is no Tempolite database; it was left untouched."""


class SchemaTooNew(StorageError):
    """The file was written by a newer Tempolite; it was left untouched."""


class WrongKey(StorageError):
    """The codec's key is not the one that the file was written with."""


class DatabaseDamaged(StorageError):
    """Checksums or the chain of batches show that recorded data is missing or changed."""


class StorageFailed(StorageError):
    """A write did not become durable; nothing of it was acted on."""


class StorageFull(StorageFailed):
    """No space left for the write."""


class Busy(EngineError):
    """A bound was reached (unread signals, an inbox): the call was refused, try again later."""


class LookupFailed(TempoliteError, LookupError):
    """Something was asked for by a name that nobody has."""


class WorkflowNotFound(LookupFailed):
    """No run is stored under that id."""


class QueueNotFound(LookupFailed):
    """No queue of that name exists."""


class ScheduleNotFound(LookupFailed):
    """No schedule of that name exists."""


class HandlerNotFound(LookupFailed):
    """The workflow has no query or update handler of that name."""


class NotRegistered(LookupFailed):
    """The engine that owns the file knows no function of that name."""


class StateError(TempoliteError):
    """The call is right, but not in this state."""


class WorkflowAlreadyExists(StateError):
    """The id is taken by a run of another function, or must be new and is not."""


class WorkflowFinished(StateError):
    """The run is finished: nothing can be delivered to it any more."""


class QueueExists(StateError):
    """A queue of that name exists already."""


class InvalidState(StateError):
    """The run's status does not allow the call; the message names it."""


class WorkflowCodeError(TempoliteError):
    """Workflow code did something that can't be replayed."""


class NonDeterminismError(WorkflowCodeError):
    """Workflow code and its recorded history disagree; the message shows both sides."""


class VersionNotSupported(WorkflowCodeError):
    """A recorded version lies outside the range that the code supports."""


class NotAllowedInWorkflow(WorkflowCodeError):
    """The call belongs in an activity or a side effect; the message says what to use instead."""


class TurnTooLong(WorkflowCodeError):
    """A stretch of workflow code ran longer than ``turn_limit``; the message names the line."""


class OutcomeError(TempoliteError):
    """How a step or a run ended, where it did not end with a value."""


class ActivityError(OutcomeError):
    """An activity failed with something that can't be raised again as itself.

    Attributes:
        type_name: name of the original type, ``module:qualname``.
        message: its text.
        traceback: where it was raised, as text.
    """

    # Defaults for errors that were rebuilt without running a constructor.
    type_name: str = ""
    message: str = ""
    traceback: str = ""

    def __init__(self, message: str = "", type_name: str = "", traceback: str = "") -> None:
        super().__init__(f"{type_name}: {message}" if type_name else message)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback


class WorkerLost(ActivityError):
    """Worker processes died under the activity, too often to go on.

    Attributes:
        cause: what ended the last one, such as ``SIGKILL`` or ``exit code 3``.
    """

    cause: str = ""

    def __init__(self, message: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class UnknownOutcome(ActivityError):
    """An at-most-once activity was interrupted: it may or may not have had its effect."""


class ActivityTimeout(ActivityError, TimeoutError):
    """One attempt ran longer than its ``timeout``."""


class HeartbeatTimeout(ActivityTimeout):
    """An attempt gave no heartbeat within ``heartbeat_timeout``."""


class DeadlineExceeded(ActivityError, TimeoutError):
    """All attempts together took longer than ``deadline``."""


class WorkflowFailed(OutcomeError):
    """A run failed with something that can't be raised again as itself.

    Attributes:
        type_name: name of the original type, ``module:qualname``.
        message: its text.
        traceback: where it was raised, as text.
    """

    # Defaults for errors that were rebuilt without running a constructor.
    type_name: str = ""
    message: str = ""
    traceback: str = ""

    def __init__(self, message: str = "", type_name: str = "", traceback: str = "") -> None:
        super().__init__(f"{type_name}: {message}" if type_name else message)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback


class WorkflowTimeout(WorkflowFailed, TimeoutError):
    """A run took longer than its ``timeout``."""


class WorkflowCancelled(OutcomeError):
    """The run was cancelled: what a caller or a parent sees of :class:`Cancelled`."""


class WorkflowStuck(OutcomeError):
    """The run can't go on until a person acts; the message is its problem."""


class WorkflowStranded(OutcomeError):
    """The run's function or one of its types is not known to this engine; the message has the remedy."""


class SagaCompensated(OutcomeError):
    """A saga failed and everything it had done was undone; ``__cause__`` is the failure."""


class SagaFailed(OutcomeError):
    """A saga failed, and undoing it failed as well.

    Attributes:
        errors: the compensations' errors, in the order they happened.
    """

    errors: Sequence[BaseException] = ()

    def __init__(self, message: str = "", errors: Sequence[BaseException] = ()) -> None:
        super().__init__(message)
        self.errors = list(errors)


class NonRetryable(OutcomeError):
    """Raise it in an activity or a workflow to fail at once, whatever the retry policy says."""


class RemoteTraceback(Exception):
    """Text of a traceback from another process or another run; the ``__cause__`` of a rebuilt error."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


def __getattr__(name: str) -> Any:
    """``Cancelled``: raised in a cancelled workflow at its current wait; ``finally`` may use the context.

    It is asyncio's own: a ``BaseException``, so that ``except Exception`` does not swallow it, and of exactly
    that type, because task groups and time-outs of an ``async def`` workflow look for no other. Outside the
    run the outcome is :class:`WorkflowCancelled`. A worker process that needs no asyncio does not load it.
    """
    if name != "Cancelled":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asyncio import CancelledError

    return CancelledError
