"""Runs in the file, and how they come to life: what the directory asks of the upper floors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import msgspec

from tempolite.actors.database_file import DatabaseFile
from tempolite.actors.messages import ChildEnded, RunEnded, StartRun, Write
from tempolite.actors.run_store import Asker, InLine, StoredRun
from tempolite.actors.timers import StoredTimer
from tempolite.calls import WorkflowCall
from tempolite.core.events import Entry, RunCancelled, RunCompleted, RunFailed, decode_body
from tempolite.core.history import fold
from tempolite.core.identifiers import StepKey, StreamId, WorkflowId
from tempolite.core.log_fields import log_fields
from tempolite.core.status import FINISHED, Status
from tempolite.engine.deletable_runs import DeletableRuns
from tempolite.errors import DatabaseDamaged, NotRegistered
from tempolite.execution.execution import Execution
from tempolite.execution.services import Services
from tempolite.registry import Registry, unknown_function
from tempolite.store import queries, statements
from tempolite.store.statements import Latest

logger = logging.getLogger("tempolite")


class RunsInFile(DeletableRuns):
    """Reads runs, and makes executions of them."""

    def __init__(self, file: DatabaseFile, registry: Registry, services: Services) -> None:
        super().__init__(file)
        self._registry = registry
        self._services = services
        self._reported: set[str] = set()
        services.new_stream = self.new_stream
        services.is_known_signal = self._is_known_signal

    def find(self, workflow: WorkflowId) -> StoredRun | None:
        """The latest run of a workflow, as last committed."""
        rows = self._rows(queries.LATEST_RUN, workflow)
        if not rows:
            return None
        stream, function, status, parent, parent_step, parent_stream, problem, queue, priority = rows[0]
        return StoredRun(
            workflow,
            StreamId(stream),
            function,
            status,
            Asker(WorkflowId(parent), StepKey(parent_step), parent_stream) if parent else None,
            self._ended(workflow, stream, Status(status), problem),
            queue,
            priority,
        )

    def create(self, request: StartRun, stream: StreamId) -> Execution:
        """A new run; its first turn records that it exists."""
        call = request.code if request.code is not None else self._registry.find(request.created.function)
        assert call is not None, "who starts a run brings its function"
        execution = Execution(request.workflow, stream, call, self._services, request.created)
        execution.prelude = request.prelude
        return execution

    def load(self, stored: StoredRun, *, has_mail: bool = False) -> Execution | RunEnded:
        """A run from its history, or why it can't come to life."""
        call = self._registry.find(stored.function)
        problem = self._services.why_stranded(stored.queue) if call else unknown_function(stored.function)
        if problem:
            call = None
            self._report(stored.workflow, problem)
            if not has_mail:
                return RunEnded(stored.workflow, Status.STRANDED, problem=problem)
        state = fold(self._entries(stored))
        row = self._rows(queries.LATEST_ROW, stored.stream)[0]
        status, finished_at, text, owes_parent, is_held = row
        written = Latest(Status(status), finished_at, text, bool(owes_parent), bool(is_held))
        return Execution(stored.workflow, stored.stream, call, self._services, state, written)

    def load_sealed(self, workflow: WorkflowId, stream: int, function: str) -> Execution:
        """A run to be looked at through its code.

        Raises:
            NotRegistered: its function is not known to this engine.
        """
        call = self._registry.find(function)
        if call is None:
            raise NotRegistered(f"workflow {workflow!r}: function {function!r} is not known to this engine")
        stored = StoredRun(workflow, StreamId(stream), function, "")
        services = self._services.for_debugging()
        return Execution(workflow, stored.stream, call, services, fold(self._entries(stored)))

    def in_line(self, limited: Iterable[str]) -> Iterable[InLine]:
        """Root runs of these queues that are active, and all that wait to be; oldest first."""
        rows = [row for queue in limited for row in self._rows(queries.ACTIVE_ROOTS, queue)]
        rows.extend(self._rows(queries.HELD))
        return [InLine(workflow, queue, priority, bool(held)) for workflow, queue, priority, held in rows]

    def left_behind(self) -> Iterable[tuple[WorkflowId, str]]:
        """Children that don't follow their parent yet, and what they are to do: pause, resume or cancel."""
        return [(WorkflowId(child), what) for child, what in self._rows(queries.LEFT_BEHIND)]

    def unstarted(self, names: tuple[str, ...] | None = None) -> list[StartRun]:
        """Children that outlive their parent, and may not have come to be before it ended."""
        requests: list[StartRun] = []
        for workflow, stream, function in self._rows(queries.UNSTARTED):
            is_meant = names is None or function in names
            if is_meant and self._registry.find(function) is not None:
                execution = self.load_sealed(WorkflowId(workflow), stream, function)
                requests.extend(execution.children.unstarted())
                execution.discard()
        return requests

    def is_sleeping(self) -> bool:
        """Whether a run waits for a timer, and for no person."""
        return bool(self._rows(queries.SLEEPING)[0][0])

    def timers(self, from_us: int, before_us: int) -> Iterable[StoredTimer]:
        """Durable timers that are due from a time on and before another one, the earliest first."""
        return [
            (WorkflowId(w), StepKey(key), due)
            for w, key, due in self._rows(queries.TIMERS, from_us, before_us)
        ]

    def next_timer(self, from_us: int) -> int | None:
        """When the first durable timer is due, from a time on."""
        due_us: int | None = self._rows(queries.NEXT_TIMER, from_us)[0][0]
        return due_us

    def with_work(self) -> Iterable[WorkflowId]:
        """Workflows that have something to do without a message from outside."""
        # First those that have nothing to do, but to be listed as stranded.
        rows = [*self.of_unknown_functions(), *(WorkflowId(row[0]) for row in self._rows(queries.WITH_WORK))]
        return list(dict.fromkeys(rows))

    def of_unknown_functions(self) -> list[WorkflowId]:
        """Unfinished workflows whose code nobody knows, but those that are listed as stranded already."""
        return [
            WorkflowId(workflow)
            for (function,) in self._rows(queries.UNFINISHED_FUNCTIONS)
            if self._registry.find(function) is None
            for (workflow,) in self._rows(queries.UNFINISHED_OF, function)
        ]

    def is_same_function(self, stored: StoredRun, function: str) -> bool:
        """Whether the recorded name and this one mean the same function, by name or alias."""
        if stored.function == function:
            return True
        known = self._registry.find(function)
        return known is not None and stored.function in known.names

    def problem_write(self, stored: StoredRun, ended: RunEnded) -> Write:
        """Lists a run as stuck or stranded, with its problem."""
        latest = Latest(Status(ended.status), problem=ended.problem)
        return statements.update_run(stored.stream, latest)

    def settle_write(self, ended: ChildEnded) -> Write:
        """Notes that nobody waits for a child's outcome any more."""
        return statements.SETTLE_CHILD, (ended.child, ended.parent_stream)

    def learn(self, code: WorkflowCall) -> None:
        """A parent brings its child's function: it is known from now on."""
        self._registry.add_call(code)

    def stranded_on(self, queue: str) -> list[WorkflowId]:
        """Stranded workflows of a queue."""
        return [WorkflowId(row[0]) for row in self._rows(queries.STRANDED_ON, queue)]

    def strand(self, names: tuple[str, ...]) -> list[WorkflowId]:
        """Stranded workflows whose function is one of these."""
        return [WorkflowId(row[0]) for name in names for row in self._rows(queries.STRANDED_OF, name)]

    def entries(self, stored: StoredRun) -> list[Entry]:
        """A run's whole history, as last committed."""
        return list(self._entries(stored))

    def _is_known_signal(self, workflow: str, name: str, dedup: str) -> bool:
        return bool(self._rows(queries.IS_KNOWN_SIGNAL, workflow, name, dedup))

    def _ended(self, workflow: WorkflowId, stream: int, status: Status, problem: str) -> RunEnded | None:
        if status in (Status.STUCK, Status.STRANDED):
            return RunEnded(workflow, status, problem=problem)
        if status not in FINISHED:
            return None
        rows = self._rows(queries.OUTCOME, stream)
        if not rows:
            raise DatabaseDamaged(f"workflow {workflow!r} is {status}, but its outcome is missing")
        body = decode_body(*rows[0])
        result = bytes(body.result) if isinstance(body, RunCompleted) else None
        failure = body.failure if isinstance(body, (RunFailed, RunCancelled)) else None
        return RunEnded(workflow, status, result, failure)

    def _entries(self, stored: StoredRun) -> Iterator[Entry]:
        for seq, type_name, step, attempt, payload, at, check in self._rows(
            queries.STREAM_EVENTS, stored.stream
        ):
            if statements.checksum(type_name, step, payload.encode()) != check:
                raise DatabaseDamaged(f"workflow {stored.workflow!r}: event {seq} ({type_name}) was changed")
            try:
                body = decode_body(type_name, payload)
            except (KeyError, msgspec.DecodeError) as error:
                raise DatabaseDamaged(
                    f"workflow {stored.workflow!r}: event {seq} ({type_name}) can't be read: {error}"
                ) from error
            yield Entry(seq, at, body, StepKey(step), attempt)

    def _report(self, workflow: str, problem: str) -> None:
        if workflow not in self._reported:
            self._reported.add(workflow)
            logger.warning("workflow %r is stranded: %s", workflow, problem, extra=log_fields(workflow))
