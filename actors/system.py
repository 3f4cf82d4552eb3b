"""All actors of one engine, put together: the only place that knows them all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pykka

from tempolite.actors.activity_pool import ActivityPool
from tempolite.actors.clock import Clock
from tempolite.actors.control_socket.gateway import GatewayActor
from tempolite.actors.controls import GiveUp
from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.directory import Directory
from tempolite.actors.dispatcher import Dispatcher, ThreadDispatcher, check_is_outside
from tempolite.actors.futures import Reply
from tempolite.actors.live_schedule import COMMANDS
from tempolite.actors.lost_threads import LostThread
from tempolite.actors.messages import (
    AwaitIdle,
    AwaitOutcome,
    Drain,
    Flush,
    FunctionRegistered,
    Recover,
    Scale,
    ShutDown,
)
from tempolite.actors.orphans import wait_for_orphans
from tempolite.actors.persistence import PersistenceActor
from tempolite.actors.retention import RetentionActor
from tempolite.actors.run_lines import RunLines
from tempolite.actors.run_store import RunStore
from tempolite.actors.running_marks import RunningMarks, marks_path
from tempolite.actors.saga_coordinator import SagaCoordinator
from tempolite.actors.schedule_store import ScheduleStore
from tempolite.actors.scheduler import SchedulerActor
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.side_effects import SideEffectActor
from tempolite.actors.supervisor import Perform, Supervisor
from tempolite.actors.system_options import SystemOptions
from tempolite.actors.timers import ReadTimers, TimerActor
from tempolite.actors.worker_process import WorkerProcess
from tempolite.actors.worker_thread import InlineWorker, ThreadWorker
from tempolite.actors.workflow import Routes
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.queues import Queue
from tempolite.errors import EngineClosed, InvalidArguments, QueueExists, QueueNotFound

logger = logging.getLogger("tempolite")

SCHEDULERS_MESSAGES = frozenset((*COMMANDS, AwaitIdle))
"""What the scheduler is asked; everything else goes to the directory."""

ASK_S = 30.0
"""Deadline of what the engine asks its own actors while it starts and stops."""

LOOK_S = 1.0
"""How long who has no patience left waits to hear that all runs rest; who can't say so by then works."""


class ActorSystem:
    """The actors of one engine, from start to stop."""

    def __init__(self, file: DatabaseFile, options: SystemOptions) -> None:
        self.file = file
        self._options = options
        self._dispatcher = self._make_dispatcher(options.clock, options.seed)
        self.pools: dict[str, ActivityPool] = {}
        self._pool_refs: dict[str, pykka.ActorRef[ActivityPool]] = {}
        self.gateway: GatewayActor | None = None

    def start(self, store: RunStore, schedules: ScheduleStore) -> None:
        """Starts every actor, and brings to life what has work to do."""
        wait_for_orphans(self.file.workers_lock_path)
        self.supervisor = Supervisor(self._options.on_failure)
        failure = {"on_actor_failure": self.supervisor.on_child_failure}
        self.persistence = self._make_writer(on_fatal=self._options.on_failure, **failure)
        self.side_effects = self._make_side_effects(**failure)
        self.sagas = SagaCoordinator(on_actor_failure=self.supervisor.on_child_failure)
        limits = {queue.name: queue.max_runs for queue in self._options.queues if queue.max_runs is not None}
        self.directory = Directory(
            store, lines=RunLines(limits), residents_max=self._options.residents_max, **failure
        )
        self.timers = TimerActor(self.directory.actor_ref, store.timers, store.next_timer, **failure)
        self.scheduler = SchedulerActor(
            store, schedules, self.persistence.actor_ref, self.directory.actor_ref, **failure
        )
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
        for actor in (self.persistence, self.side_effects, self.timers, self.sagas):
            self.supervisor.add(actor, self._dispatcher)
        self.marks = RunningMarks(marks_path(self.file), was_clean=self.persistence.was_clean)
        for queue in self._options.queues:
            self.add_queue(queue)
        self.supervisor.add(self.directory, self._dispatcher)
        self.supervisor.add(self.scheduler, self._dispatcher)
        self._add_retention(store, failure)
        self._add_gateway()
        self._dispatcher.start()
        self.directory.actor_ref.tell(Recover())
        self.timers.actor_ref.tell(ReadTimers())

    def _make_dispatcher(self, clock: Clock, seed: int | None) -> ThreadDispatcher | SeededDispatcher:
        if seed is None:
            return ThreadDispatcher("tempolite-actors", clock)
        return SeededDispatcher(seed, clock)  # type: ignore[arg-type]

    def _make_writer(self, **options: Any) -> PersistenceActor:
        return PersistenceActor(self.file, **options)

    def _make_side_effects(self, **options: Any) -> SideEffectActor:
        return SideEffectActor(self._options.interpreter, is_inline=self._options.seed is not None, **options)

    def _dispatcher_of_pools(self) -> Dispatcher:
        return self._dispatcher

    def _add_retention(self, store: RunStore, failure: dict[str, Any]) -> None:
        if self._options.retention_us is not None:
            directory = self.directory.actor_ref
            retention = RetentionActor(directory, store, self._options.retention_us, **failure)
            self.directory.routes.retention = retention.actor_ref
            self.supervisor.add(retention, self._dispatcher)

    def _add_gateway(self) -> None:
        """Who is in memory, or runs in the caller's own thread, has no visitors."""
        service = self._options.service
        if service is not None and not self.file.is_memory and self._options.seed is None:
            # Without the others' way of failing: a fault in here costs a client its answer, not the engine.
            self.gateway = GatewayActor(self.file.path, service)
            self.supervisor.add(self.gateway, self._dispatcher)

    def open_gateway(self) -> None:
        """Lets other processes in."""
        if self.gateway is not None:
            self._perform(self.gateway.open)

    def add_queue(self, queue: Queue) -> None:
        """Starts a queue's pool."""
        on_failure = self.supervisor.on_child_failure
        pool = ActivityPool(
            queue, worker_count(queue), self._worker_maker(queue), self.marks, on_actor_failure=on_failure
        )
        self.supervisor.add(pool, self._dispatcher_of_pools())
        self.pools[queue.name] = pool
        self._pool_refs[queue.name] = pool.actor_ref

    def create_queue(self, queue: Queue) -> None:
        """Starts a queue's pool while the engine runs.

        Raises:
            QueueExists: there is one of that name.
        """

        def add() -> None:
            if queue.name in self.pools:
                raise QueueExists(f"a queue named {queue.name!r} exists already")
            if queue.max_runs is not None:
                self.directory.lines.add(queue.name, queue.max_runs)
            self.add_queue(queue)

        self._perform(add)

    def scale(self, queue: str, workers: int) -> int:
        """Gives a running queue so many workers; says how many it had.

        Idle workers that are too many leave at once, busy ones after their work; with 0 it holds what comes.

        Raises:
            QueueNotFound: there is none of that name.
            InvalidArguments: the count is no int from 0.
        """
        pool = self.pool_of(queue)
        wanted = replace(self.pools[queue].queue, workers=workers)
        if wanted.workers is None:
            raise InvalidArguments(f"queue {queue!r}: workers is None, expected an int from 0")
        before: int = self._ask(pool, Scale(worker_count(wanted)))
        return before

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
        """Asks the directory, or the scheduler where it is the one who knows; the reply can be awaited."""
        if type(message) in SCHEDULERS_MESSAGES:
            return self.scheduler.actor_ref.ask_nowait(message)
        return self.directory.actor_ref.ask_nowait(message)

    def tell(self, message: Any) -> None:
        """Tells the directory."""
        self.directory.actor_ref.tell(message)

    def announce(self, message: FunctionRegistered) -> None:
        """Tells everybody who may wait for a function."""
        for actor in (self.directory, self.scheduler):
            with suppress(pykka.ActorDeadError):
                actor.actor_ref.tell(message)

    def fail_waits(self, error: Exception) -> None:
        """Nothing goes on any more: whoever waits is told; runs in the dispatcher's thread."""
        self.scheduler.close(error)
        self.directory.close(error)
        if self.gateway is not None:
            # Visitors are told by its end: another engine may serve them.
            self.gateway.end_visits()
            self.gateway.close()

    def ask(self, message: Any, timeout: float | None) -> Any:
        """Asks the directory and waits.

        Raises:
            TimeoutError: ``timeout`` seconds went by.
            EngineClosed: the engine was closed before it answered.
        """
        check_is_outside(self._dispatcher)
        reply = self.ask_nowait(message)
        try:
            return self._dispatcher.wait(reply, timeout)
        except pykka.Timeout:
            if isinstance(message, AwaitIdle) and self.is_answered_now(reply):
                return reply.get(timeout=0)
            self.give_up(message, reply)
            raise TimeoutError(f"no answer within {timeout} s") from None
        except pykka.ActorDeadError:
            raise EngineClosed("the engine was closed") from None

    def give_up(self, message: Any, reply: Reply[Any]) -> None:
        """Nobody waits for this answer any more."""
        if isinstance(message, (AwaitOutcome, AwaitIdle)):
            actor: Any = self.scheduler if isinstance(message, AwaitIdle) else self.directory
            with suppress(pykka.ActorDeadError):
                actor.actor_ref.tell(GiveUp(reply, getattr(message, "workflow", None)))

    def is_answered_now(self, reply: Reply[Any]) -> bool:
        """Whether an ``AwaitIdle`` has its answer once those who know have looked: if not, runs go on."""
        with suppress(pykka.Timeout, pykka.ActorDeadError):
            # Mail is read in order: the scheduler asks, the directory answers, the scheduler reads that.
            for _ in range(3):
                turn: Any = self.supervisor.actor_ref.ask(Perform(lambda: None), block=False)
                self._dispatcher.wait(turn, LOOK_S)
        return reply.is_set

    def ask_writer(self, message: Any) -> Any:
        """Asks the persistence actor and waits.

        Raises:
            EngineClosed: the engine was closed before it answered.
        """
        try:
            return self._ask(self.persistence.actor_ref, message)
        except pykka.ActorDeadError:
            raise EngineClosed("the engine was closed") from None

    def next_commit(self) -> Reply[bool]:
        """Says True when something became durable, False when the engine ends; see ``CommitBell``."""
        return self.persistence.bell.next_commit()

    def wait_for(self, reply: Reply[Any]) -> Any:
        """Waits for a reply; from any thread but the actors' own."""
        return self._dispatcher.wait(reply, None)

    def change_thread(self, lost: LostThread) -> bool:
        """Has a new thread run the actors; False where the code that blocks came back before."""
        assert isinstance(self._dispatcher, ThreadDispatcher), "under a seed nobody watches"
        return self._dispatcher.change_thread(lost, self.directory.take_over)

    def _ask(self, actor: pykka.ActorRef[Any], message: Any) -> Any:
        check_is_outside(self._dispatcher)
        reply: Any = actor.ask(message, block=False)
        return self._dispatcher.wait(reply, ASK_S)

    def close(self, timeout_s: float) -> None:
        """Lets running activities finish, commits, and ends every thread and process."""
        if self.gateway is not None:
            self._perform(self.gateway.end_visits)
        drained: list[Any] = [pool.actor_ref.ask(Drain(), block=False) for pool in self.pools.values()]
        # A round, so that pools in which nothing runs have answered, however short the time is.
        self._perform(lambda: None)
        deadline_s = self._options.clock.monotonic_s() + timeout_s
        for reply in drained:
            try:
                self._dispatcher.wait(reply, max(0.0, deadline_s - self._options.clock.monotonic_s()))
            except pykka.Timeout:
                logger.warning("activities still run after %g s; they are ended, and run again", timeout_s)
                break
        if self.gateway is not None:
            self.gateway.finish_calls(max(0.0, deadline_s - self._options.clock.monotonic_s()))
        # What the last results led to is committed; the third round answers the second one's turns.
        for _ in range(2):
            self._perform(lambda: None)
            self._ask(self.persistence.actor_ref, Flush())
        self._stop(is_clean=True)

    def crash(self, error: Exception) -> None:
        """Drops everything as SIGKILL would: no last commit, no checkpoint."""
        self.persistence.abandon()
        if self.gateway is not None:
            # Without a word: whoever waits hears nothing but the end of the connection.
            self._perform(self.gateway.close)
        # As SIGKILL leaves it: what runs now is marked as running.
        self._perform(self.marks.close)
        self._stop(is_clean=False, error=error)

    def _stop(self, *, is_clean: bool, error: Exception | None = None) -> None:
        self._perform(lambda: self.scheduler.close(error))
        for ending in self._perform(lambda: self.directory.close(error)):
            with suppress(pykka.ActorDeadError):
                self._dispatcher.wait(ending, ASK_S)
        if self.gateway is not None:
            self._perform(self.gateway.close)
        for pool in self.pools.values():
            self._ask(pool.actor_ref, ShutDown())
        self._dispatcher.stop(ASK_S)
        self.side_effects.shut_down(timeout_s=0.1)
        if is_clean:
            self.marks.close_clean()
        self.persistence.close(is_clean=is_clean)
        self.supervisor.stop_children()
        self.supervisor.stop_now()
        for lost in self._dispatcher.lost_threads():
            logger.warning("the engine is closed, and code still blocks a thread of it: %s", lost)

    def counts_of(self, queue: str) -> tuple[int, int, int]:
        """A queue's workers, and its activities running and waiting.

        Raises:
            QueueNotFound: there is none of that name.
        """
        self.pool_of(queue)
        counts: tuple[int, int, int] = self._perform(self.pools[queue].counts)
        return counts

    def loss_counts(self) -> tuple[int, int]:
        """Results that were dropped because they came late, and workers that were lost; of all queues."""

        def count() -> tuple[int, int]:
            pools = self.pools.values()
            return sum(pool.results_dropped for pool in pools), sum(pool.workers_lost for pool in pools)

        counts: tuple[int, int] = self._perform(count)
        return counts

    def progress_of(self, workflow: WorkflowId) -> dict[StepKey, tuple[float, float | None]]:
        """How far a run's activities are that tell so with ``ctx.progress``: done, and of how much."""

        def find() -> dict[StepKey, tuple[float, float | None]]:
            found: dict[StepKey, tuple[float, float | None]] = {}
            for pool in self.pools.values():
                found.update(pool.progress_of(workflow))
            return found

        progress: dict[StepKey, tuple[float, float | None]] = self._perform(find)
        return progress

    def _perform(self, action: Callable[[], Any]) -> Any:
        return self._ask(self.supervisor.actor_ref, Perform(action))

    def _worker_maker(self, queue: Queue) -> Callable[[Callable[..., None], Callable[..., None]], Any]:
        options, dispatcher, marks = self._options, self._dispatcher, self.marks

        def make(on_frames: Callable[..., None], on_death: Callable[..., None]) -> Any:
            if queue.kind == "inline":
                return InlineWorker(options.interpreter, on_frames, marks)
            if queue.kind == "thread":
                name = f"tempolite-{queue.name}"
                return ThreadWorker(options.interpreter, queue.slots, on_frames, marks, name)
            return WorkerProcess(dispatcher, options.worker, queue.slots, on_frames, on_death)

        return make


def worker_count(queue: Queue) -> int:
    """How many workers a queue has at most."""
    if queue.kind == "inline":
        return 0 if queue.workers == 0 else 1
    return len(os.sched_getaffinity(0)) if queue.workers is None else queue.workers
