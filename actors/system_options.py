"""What the actors of an engine are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tempolite.actors.clock import Clock
from tempolite.actors.control_socket.gateway import Service
from tempolite.actors.residents import RESIDENTS_MAX
from tempolite.actors.worker_main import Interpreter
from tempolite.actors.worker_process import WorkerSettings
from tempolite.core.queues import Queue


class SystemOptions(msgspec.Struct):
    """What the actors are made with.

    Attributes:
        queues: settings of each queue.
        worker: what each worker process is told.
        interpreter: runs activities of threads, and turns side effects' errors into data.
        clock: where time comes from.
        seed: run all actors in the caller's thread in an order drawn from this; tests only.
        residents_max: runs in memory beyond which those that only wait leave it.
        on_failure: told when the engine can't go on.
        retention_us: how long finished workflows are kept; None for ever.
        service: what other processes may ask; None for nothing.
    """

    queues: Iterable[Queue]
    worker: WorkerSettings
    interpreter: Interpreter
    clock: Clock
    on_failure: Callable[[Exception], None]
    seed: int | None = None
    residents_max: int = RESIDENTS_MAX
    retention_us: int | None = None
    service: Service | None = None
