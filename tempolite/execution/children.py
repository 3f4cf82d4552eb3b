"""Children of a run: workflows that it started, each with a stream of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tempolite.actors.controls import Asked, Cancel, Pause, Resume
from tempolite.actors.messages import ChildEnded, Deliver, StartRun
from tempolite.calls import WorkflowCall, workflow_call
from tempolite.core import events
from tempolite.core.identifiers import StepKey, WorkflowId
from tempolite.core.step_records import StepKind, StepRecord
from tempolite.execution.infos import ChildWorkflowInfo
from tempolite.store import statements

if TYPE_CHECKING:
    from tempolite.execution.execution import Execution


class Children:
    """What a run's children do."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._log, self._steps, self._services = execution.log, execution.steps, execution.services
        self._asked_for: set[int] = set()
        self._unstarted: list[StartRun] = []

    def schedule(
        self, name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ChildWorkflowInfo[Any]:
        """The code asks for a child workflow."""
        self._execution.check_is_live()
        call = workflow_call(target)
        call.shape.check(call.name, args, kwargs)
        self._services.check_queue(call.options.queue or self._log.state.created.queue)
        payload = self._services.encode_call(args, kwargs)
        key = self._steps.next_key(name)
        child = WorkflowId(call.options.id or self._own_id(key))
        info: ChildWorkflowInfo[Any] = ChildWorkflowInfo(self._execution, key, child)
        step = self._steps.known(key, StepKind.CHILD, call.names)
        if step is None:
            options = call.options
            body = events.ChildScheduled(
                child, call.name, msgspec.Raw(payload), options.detach, options.on_parent_close
            )
            self._log.record(body, key)
            # Until the child's own stream says that it exists, or tries again.
            self._log.write((statements.SPAWN, (child, self._log.stream)))
        recorded = self._log.state.steps[key]
        info.id = recorded.child
        if recorded.is_open and recorded.scheduled_seq not in self._asked_for:
            self._asked_for.add(recorded.scheduled_seq)
            request = self._request(recorded, call)
            if not self._log.is_sealed:
                self._log.send(request)
            elif recorded.on_parent_close != "cancel" or recorded.detached:
                self._unstarted.append(request)
        self._steps.expect(info, key, step)
        return info

    def tell(self, message: Pause | Resume) -> None:
        """Children follow their parent, but for those that were detached."""
        for step in self._open():
            self._log.send(Deliver(WorkflowId(step.child), Asked(message)))

    def cancel(self) -> None:
        """The run is being cancelled, or ends: so do the children that hang on it."""
        for step in self._open():
            if step.on_parent_close == "cancel":
                self._log.send(Deliver(WorkflowId(step.child), Asked(Cancel(by_parent=True))))

    def _open(self) -> list[StepRecord]:
        state = self._log.state
        if not state.has_children:
            return []
        kind = StepKind.CHILD
        return [s for s in state.steps.values() if s.kind is kind and s.is_open and not s.detached]

    def _own_id(self, key: StepKey) -> str:
        """``parent/step``; later runs of the parent have children of their own."""
        run = self._log.state.created.run
        return f"{self._log.workflow}/{key}" if run == 1 else f"{self._log.workflow}/{run}/{key}"

    def take_end(self, message: ChildEnded) -> None:
        """A child's outcome is durable in its stream; now it becomes one in ours."""
        # Whatever we make of it, the child need not tell us again.
        self._log.write((statements.SETTLE_CHILD, (message.child, message.parent_stream)))
        step = self._log.state.steps.get(message.step)
        if step is None or not step.is_open or step.child != message.child:
            return
        if message.parent_stream != self._log.stream:
            # Of a child that an earlier run of this id left behind.
            return
        if message.failure is not None or step.schedulings:
            # It may never have been: the id was taken. Or it was asked for once more while it was under way.
            self._log.write((statements.SPAWNED, (message.child, self._log.stream)))
        if message.failure is not None or message.cancelled:
            failure = message.failure or events.CANCELLED_FAILURE
            self._log.record(events.ChildFailed(failure, message.cancelled), step.key)
        else:
            assert message.result is not None, "a child ends with a value, a failure or a cancellation"
            self._log.record(events.ChildCompleted(msgspec.Raw(message.result)), step.key)
        self._steps.offer(step.key)

    def unstarted(self) -> list[StartRun]:
        """Of a run that is over: the children that outlive it and may never have begun, asked for again."""
        self._execution.code.replay()
        return self._unstarted

    def _request(self, step: StepRecord, call: WorkflowCall) -> StartRun:
        """Asks for the child; a second time is harmless, it is known by its id."""
        options, mine = call.options, self._log.state.created
        created = call.run_created(
            step.child,
            msgspec.Raw(step.args),
            function=step.function,
            seed=self._services.new_seed(),
            queue=options.queue or mine.queue,
            run_group=step.child if step.detached else mine.run_group,
            parent=self._log.workflow,
            parent_step=step.key,
            parent_stream=self._log.stream,
            on_parent_close=options.on_parent_close,
            detached=step.detached,
        )
        return StartRun(
            WorkflowId(step.child), created, self._log.workflow, times=step.schedulings, code=call
        )
