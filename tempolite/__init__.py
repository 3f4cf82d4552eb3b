"""Durable workflows in one process and one SQLite file.

Names are loaded when they are first used: a worker process that runs an activity of yours imports this
package, but not the engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempolite.activity_context import ActivityContext as ActivityContext
    from tempolite.actors.controls import Cancel as Cancel
    from tempolite.actors.controls import ContinueAsNew as ContinueAsNew
    from tempolite.actors.controls import Pause as Pause
    from tempolite.actors.controls import Query as Query
    from tempolite.actors.controls import Resume as Resume
    from tempolite.actors.controls import Signal as Signal
    from tempolite.actors.controls import Update as Update
    from tempolite.codec import JsonCodec as JsonCodec
    from tempolite.core.queues import Queue as Queue
    from tempolite.core.retry import RetryPolicy as RetryPolicy
    from tempolite.core.status import Status as Status
    from tempolite.definitions import activity as activity
    from tempolite.definitions import workflow as workflow
    from tempolite.engine.client import Client as Client
    from tempolite.engine.engine import Tempolite as Tempolite
    from tempolite.engine.handle import WorkflowInfo as WorkflowInfo
    from tempolite.engine.listing import Event as Event
    from tempolite.engine.listing import Metrics as Metrics
    from tempolite.engine.listing import Node as Node
    from tempolite.engine.listing import Page as Page
    from tempolite.engine.listing import QueueInfo as QueueInfo
    from tempolite.engine.schedule_handle import ScheduleInfo as ScheduleInfo
    from tempolite.engine.shared_engine import SharedEngine as SharedEngine
    from tempolite.engine.verifying import VerifyReport as VerifyReport
    from tempolite.errors import ActivityError as ActivityError
    from tempolite.errors import ActivityTimeout as ActivityTimeout
    from tempolite.errors import Busy as Busy
    from tempolite.errors import Cancelled as Cancelled
    from tempolite.errors import ConnectionLost as ConnectionLost
    from tempolite.errors import DatabaseDamaged as DatabaseDamaged
    from tempolite.errors import DeadlineExceeded as DeadlineExceeded
    from tempolite.errors import Deadlock as Deadlock
    from tempolite.errors import EngineClosed as EngineClosed
    from tempolite.errors import EngineCrashed as EngineCrashed
    from tempolite.errors import EngineLocked as EngineLocked
    from tempolite.errors import HandlerNotFound as HandlerNotFound
    from tempolite.errors import HeartbeatTimeout as HeartbeatTimeout
    from tempolite.errors import InvalidArguments as InvalidArguments
    from tempolite.errors import InvalidState as InvalidState
    from tempolite.errors import NonDeterminismError as NonDeterminismError
    from tempolite.errors import NonRetryable as NonRetryable
    from tempolite.errors import NotADatabase as NotADatabase
    from tempolite.errors import NotAllowedInWorkflow as NotAllowedInWorkflow
    from tempolite.errors import NotRegistered as NotRegistered
    from tempolite.errors import NotStorable as NotStorable
    from tempolite.errors import PayloadTooLarge as PayloadTooLarge
    from tempolite.errors import QueueExists as QueueExists
    from tempolite.errors import QueueNotFound as QueueNotFound
    from tempolite.errors import SagaCompensated as SagaCompensated
    from tempolite.errors import SagaFailed as SagaFailed
    from tempolite.errors import ScheduleNotFound as ScheduleNotFound
    from tempolite.errors import SchemaTooNew as SchemaTooNew
    from tempolite.errors import StorageFailed as StorageFailed
    from tempolite.errors import StorageFull as StorageFull
    from tempolite.errors import TempoliteError as TempoliteError
    from tempolite.errors import TurnTooLong as TurnTooLong
    from tempolite.errors import UnknownOutcome as UnknownOutcome
    from tempolite.errors import UnsupportedPlatform as UnsupportedPlatform
    from tempolite.errors import VersionNotSupported as VersionNotSupported
    from tempolite.errors import WorkerLost as WorkerLost
    from tempolite.errors import WorkflowAlreadyExists as WorkflowAlreadyExists
    from tempolite.errors import WorkflowCancelled as WorkflowCancelled
    from tempolite.errors import WorkflowFailed as WorkflowFailed
    from tempolite.errors import WorkflowFinished as WorkflowFinished
    from tempolite.errors import WorkflowNotFound as WorkflowNotFound
    from tempolite.errors import WorkflowStranded as WorkflowStranded
    from tempolite.errors import WorkflowStuck as WorkflowStuck
    from tempolite.errors import WorkflowTimeout as WorkflowTimeout
    from tempolite.errors import WrongKey as WrongKey
    from tempolite.execution.context import AsyncWorkflowContext as AsyncWorkflowContext
    from tempolite.execution.context import WorkflowContext as WorkflowContext
    from tempolite.execution.infos import ActivityInfo as ActivityInfo
    from tempolite.execution.infos import ChildWorkflowInfo as ChildWorkflowInfo
    from tempolite.execution.infos import SagaInfo as SagaInfo
    from tempolite.execution.infos import SideEffectInfo as SideEffectInfo
    from tempolite.execution.infos import SignalInfo as SignalInfo
    from tempolite.execution.infos import StepInfo as StepInfo
    from tempolite.execution.infos import TimerInfo as TimerInfo
    from tempolite.saga import Saga as Saga
    from tempolite.saga_context import CompensationContext as CompensationContext
    from tempolite.saga_context import TransactionContext as TransactionContext

_HOMES = {
    "tempolite.actors.controls": (
        "Cancel",
        "ContinueAsNew",
        "Pause",
        "Query",
        "Resume",
        "Signal",
        "Update",
    ),
    "tempolite.activity_context": ("ActivityContext",),
    "tempolite.codec": ("JsonCodec",),
    "tempolite.core.queues": ("Queue",),
    "tempolite.core.retry": ("RetryPolicy",),
    "tempolite.core.status": ("Status",),
    "tempolite.definitions": ("activity", "workflow"),
    "tempolite.engine.client": ("Client",),
    "tempolite.engine.engine": ("Tempolite",),
    "tempolite.engine.handle": ("WorkflowInfo",),
    "tempolite.engine.listing": ("Event", "Metrics", "Node", "Page", "QueueInfo"),
    "tempolite.engine.schedule_handle": ("ScheduleInfo",),
    "tempolite.engine.shared_engine": ("SharedEngine",),
    "tempolite.engine.verifying": ("VerifyReport",),
    "tempolite.errors": (
        "ActivityError",
        "ActivityTimeout",
        "Busy",
        "Cancelled",
        "ConnectionLost",
        "DatabaseDamaged",
        "DeadlineExceeded",
        "Deadlock",
        "EngineClosed",
        "EngineCrashed",
        "EngineLocked",
        "HandlerNotFound",
        "HeartbeatTimeout",
        "InvalidArguments",
        "InvalidState",
        "NonDeterminismError",
        "NonRetryable",
        "NotADatabase",
        "NotAllowedInWorkflow",
        "NotRegistered",
        "NotStorable",
        "PayloadTooLarge",
        "QueueExists",
        "QueueNotFound",
        "SagaCompensated",
        "SagaFailed",
        "ScheduleNotFound",
        "SchemaTooNew",
        "StorageFailed",
        "StorageFull",
        "TempoliteError",
        "TurnTooLong",
        "UnknownOutcome",
        "UnsupportedPlatform",
        "VersionNotSupported",
        "WorkerLost",
        "WorkflowAlreadyExists",
        "WorkflowCancelled",
        "WorkflowFailed",
        "WorkflowFinished",
        "WorkflowNotFound",
        "WorkflowStranded",
        "WorkflowStuck",
        "WorkflowTimeout",
        "WrongKey",
    ),
    "tempolite.execution.context": ("AsyncWorkflowContext", "WorkflowContext"),
    "tempolite.execution.infos": (
        "ActivityInfo",
        "ChildWorkflowInfo",
        "SagaInfo",
        "SideEffectInfo",
        "SignalInfo",
        "StepInfo",
        "TimerInfo",
    ),
    "tempolite.saga": ("Saga",),
    "tempolite.saga_context": ("CompensationContext", "TransactionContext"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - a list, made from the table above


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
