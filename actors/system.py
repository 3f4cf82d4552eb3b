"""All actors of one engine, put together: the only place that knows them all."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec
import pykka

from tempolite.actors.activity_pool import ActivityPool
from tempolite.actors.clock import Clock
from tempolite.actors.controls import GiveUp
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.directory import RESIDENTS_MAX, Directory
from tempolite.actors.dispatcher import SeededDispatcher, ThreadDispatcher
from tempolite.actors.futures import Reply
from tempolite.actors.messages import AwaitIdle, AwaitOutcome, Drain, Flush, Recover, ShutDown
from tempolite.actors.persistence import PersistenceActor
from tempolite.actors.run_lines import RunLines
from tempolite.actors.run_store import RunStore
from tempolite.actors.saga_coordinator import SagaCoordinator
from tempolite.actors.side_effects import SideEffectActor
from tempolite.actors.supervisor import Perform, Supervisor
from tempolite.actors.timers import ReadTimers, TimerActor
from tempolite.actors.worker_main import Interpreter
from tempolite.actors.worker_process import WorkerProcess, WorkerSettings
from tempolite.actors.worker_thread import InlineWorker, ThreadWorker
from tempolite.actors.workflow import Routes
from tempolite.core.queues import Queue
from tempolite.errors import EngineClosed, EngineLocked, QueueNotFound

logger = logging.getLogger("tempolite")

new_lock = threading.Lock
"""Locks, like threads and queues, are made in this package only."""

ASK_S = 30.0
"""Deadline of what the engine asks its own actors while it starts and stops."""

ORPHANS_S = 30.0
"""How long a start waits for workers of an engine that was killed; they end within a second."""


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
    """

    queues: Iterable[Queue]
    worker: WorkerSettings
    interpreter: Interpreter
    clock: Clock
    on_failure: Callable[[Exception], None]
    seed: int | None = None
    residents_max: int = RESIDENTS_MAX


class ActorSystem:
    """The actors of one engine, from start to stop."""

    def __init__(self, file: DatabaseFile, options: SystemOptions) -> None:
        self.file = file
        self._options = options
        self._dispatcher: ThreadDispatcher | SeededDispatcher
        self._commits: ThreadDispatcher | SeededDispatcher
        if options.seed is None:
            self._dispatcher = ThreadDispatcher("tempolite-actors", options.clock)
            self._commits = self._dispatcher
        else:
            self._dispatcher = self._commits = SeededDispatcher(options.seed, options.clock)  # type: ignore[arg-type]
        self.pools: dict[str, ActivityPool] = {}
        self._pool_refs: dict[str, pykka.ActorRef[ActivityPool]] = {}

    def start(self, store: RunStore) -> None:
        """Starts every actor, and brings to life what has work to do."""
        _wait_for_orphans(self.file.workers_lock_path)
        self.supervisor = Supervisor(self._options.on_failure)
        failure = {"on_actor_failure": self.supervisor.on_child_failure}
        self.persistence = PersistenceActor(self.file, on_fatal=self._options.on_failure, **failure)
        self.side_effects = SideEffectActor(
            self._options.interpreter, is_inline=self._options.seed is not None, **failure
        )
        self.sagas = SagaCoordinator(on_actor_failure=self.supervisor.on_child_failure)
        limits = {queue.name: queue.max_runs for queue in self._options.queues if queue.max_runs is not None}
        self.directory = Directory(
            store, lines=RunLines(limits), residents_max=self._options.residents_max, **failure
        )
        self.timers = TimerActor(self.directory.actor_ref, store.timers, store.next_timer, **failure)
        self.directory.routes = Routes(
            persistence=self.persistence.actor_ref,
            directory=self.directory.actor_ref,
            timers=self.timers.actor_ref,
            side_effects=self.side_effects.actor_ref,
            sagas=self.sagas.actor_ref,
            pool_of=self.pool_of,
            now_us=self._options.clock.now_us,
        )
        self.supervisor.launch(self._dispatcher)
        self.supervisor.add(self.persistence, self._commits)
        for actor in (self.side_effects, self.timers, self.sagas):
            self.supervisor.add(actor, self._dispatcher)
        for queue in self._options.queues:
            self.add_queue(queue)
        self.supervisor.add(self.directory, self._dispatcher)
        self._dispatcher.start()
        if self._commits is not self._dispatcher:
            self._commits.start()
        self.directory.actor_ref.tell(Recover())
        self.timers.actor_ref.tell(ReadTimers())

    def add_queue(self, queue: Queue) -> None:
        """Starts a queue's pool."""
        on_failure = self.supervisor.on_child_failure
        pool = ActivityPool(
            queue, worker_count(queue), self._worker_maker(queue), on_actor_failure=on_failure
        )
        self.supervisor.add(pool, self._dispatcher)
        self.pools[queue.name] = pool
        self._pool_refs[queue.name] = pool.actor_ref

    def pool_of(self, queue: str) -> pykka.ActorRef[ActivityPool]:
        """The pool of a queue.

        Raises:
            QueueNotFound: there is none of that name.
        """
        try:
            return self._pool_refs[queue]
        except KeyError:
            raise QueueNotFound(
                f"no queue named {queue!r}; there are {', '.join(sorted(self.pools))}"
            ) from None

    def ask_nowait(self, message: Any) -> Reply[Any]:
        """Asks the directory; the reply can be awaited."""
        reply: Any = self.directory.actor_ref.ask(message, block=False)
        return reply  # type: ignore[no-any-return]

    def tell(self, message: Any) -> None:
        """Tells the directory."""
        self.directory.actor_ref.tell(message)

    def ask(self, message: Any, timeout: float | None) -> Any:
        """Asks the directory and waits.

        Raises:
            TimeoutError: ``timeout`` seconds went by.
            EngineClosed: the engine was closed before it answered.
        """
        reply = self.ask_nowait(message)
        try:
            return self._dispatcher.wait(reply, timeout)
        except pykka.Timeout:
            self.give_up(message, reply)
            raise TimeoutError(f"no answer within {timeout} s") from None
        except pykka.ActorDeadError:
            raise EngineClosed("the engine was closed") from None

    def give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for this answer any more."""
        if isinstance(message, (AwaitOutcome, AwaitIdle)):
            with suppress(pykka.ActorDeadError):
                self.directory.actor_ref.tell(GiveUp(reply, getattr(message, "workflow", None)))

    def _ask(self, actor: pykka.ActorRef[Any], message: Any) -> Any:
        reply: Any = actor.ask(message, block=False)
        return self._dispatcher.wait(reply, ASK_S)

    def close(self, timeout_s: float) -> None:
        """Lets running activities finish, commits, and ends every thread and process."""
        drained: list[Any] = [pool.actor_ref.ask(Drain(), block=False) for pool in self.pools.values()]
        deadline_s = self._options.clock.monotonic_s() + timeout_s
        for reply in drained:
            try:
                self._dispatcher.wait(reply, max(0.0, deadline_s - self._options.clock.monotonic_s()))
            except pykka.Timeout:
                logger.warning(
                    "activities still run after %g s; they are ended and will run again", timeout_s
                )
                break
        # What the last results led to is committed; the third round answers the second one's turns.
        for _ in range(2):
            self._perform(lambda: None)
            self._ask(self.persistence.actor_ref, Flush())
        self._stop(is_clean=True)

    def crash(self, error: Exception) -> None:
        """Drops everything as SIGKILL would: no last commit, no checkpoint."""
        self.persistence.abandon()
        self._stop(is_clean=False, error=error)

    def _stop(self, *, is_clean: bool, error: Exception | None = None) -> None:
        self._perform(lambda: self.directory.close(error))
        for pool in self.pools.values():
            self._ask(pool.actor_ref, ShutDown())
        if self._commits is not self._dispatcher:
            self._commits.stop(ASK_S)
        self._dispatcher.stop(ASK_S)
        self.side_effects.shut_down(timeout_s=0.1)
        self.persistence.close(is_clean=is_clean)
        self.supervisor.stop_children()
        self.supervisor.stop_now()

    def counts_of(self, queue: str) -> tuple[int, int, int]:
        """A queue's workers, and its activities running and waiting.

        Raises:
            QueueNotFound: there is none of that name.
        """
        self.pool_of(queue)
        counts: tuple[int, int, int] = self._perform(self.pools[queue].counts)
        return counts

    def _perform(self, action: Callable[[], Any]) -> Any:
        return self._ask(self.supervisor.actor_ref, Perform(action))

    def _worker_maker(self, queue: Queue) -> Callable[[Callable[..., None], Callable[..., None]], Any]:
        options, dispatcher = self._options, self._dispatcher

        def make(on_frames: Callable[..., None], on_death: Callable[..., None]) -> Any:
            if queue.kind == "inline":
                return InlineWorker(options.interpreter, on_frames)
            if queue.kind == "thread":
                return ThreadWorker(options.interpreter, queue.slots, on_frames, f"tempolite-{queue.name}")
            return WorkerProcess(dispatcher, options.worker, queue.slots, on_frames, on_death)

        return make


def worker_count(queue: Queue) -> int:
    """How many workers a queue has at most."""
    if queue.kind == "inline":
        return 0 if queue.workers == 0 else 1
    return len(os.sched_getaffinity(0)) if queue.workers is None else queue.workers


def _wait_for_orphans(path: str | None) -> None:
    """Waits until the last worker of an earlier engine is gone: no retry may overlap it.

    Raises:
        EngineLocked: one of them doesn't end.
    """
    if path is None:
        return
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # flock can't be given a deadline; a thread that waits for it can be left behind.
        waiter = threading.Thread(target=fcntl.flock, args=(fd, fcntl.LOCK_EX), daemon=True)
        waiter.start()
        waiter.join(ORPHANS_S)
        if waiter.is_alive():
            raise EngineLocked(f"workers of an earlier engine still run, see the locks on {path}")
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)
