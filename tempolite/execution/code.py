"""The live code of a run: from its start to where it waits, and on with what it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tempolite.codec import TypeNotFound
from tempolite.errors import InvalidArguments, TurnTooLong
from tempolite.execution.context import AsyncWorkflowContext, WorkflowContext
from tempolite.execution.run_log import RUN_STEP
from tempolite.execution.runner import CoroutineRunner, GreenletRunner, call_into

if TYPE_CHECKING:
    from tempolite.calls import WorkflowCall
    from tempolite.execution.execution import Execution

Runner = GreenletRunner | CoroutineRunner
R = TypeVar("R")


class Code:
    """A workflow function, brought to life and ended again.

    Args:
        execution: the run.
        call: its function; None where it is not known here.

    Attributes:
        is_ending: what the code does now is not recorded.
    """

    def __init__(self, execution: Execution, call: WorkflowCall | None) -> None:
        self._execution = execution
        self._log, self._steps = execution.log, execution.steps
        self.call = call
        self.is_ending = False
        self._runner: Runner | None = None
        self._barred = ""

    def may_run(self) -> bool:
        """Whether it runs, as far as its history goes where it is paused."""
        state = self._log.state
        if state.paused_seq is not None and state.began_seq > state.paused_seq:
            return False
        return (
            self.call is not None
            and state.finished is None
            and self._log.ended is None
            and state.began_at is not None
            and not state.is_held
            and state.retry_at is None
            and not self._execution.ending.is_postponed
        )

    def run(self) -> None:
        """Runs, if it may, until it waits for something that has no outcome yet."""
        if not self.may_run():
            return
        try:
            runner = self._runner
            if runner is None:
                runner = self._make_runner()
            elif not self._give_next():
                # Code that waits is woken only with something new for it.
                return
            while True:
                self._run_stretch(runner.run)
                if self._log.ended is not None:
                    # It must not go on: its history disagrees with it, or it took too long.
                    self.stop()
                    return
                if runner.is_done:
                    self._runner = None
                    self._execution.ending.conclude(runner.result, runner.error)
                    return
                if not self._give_next():
                    return
        except TypeNotFound as error:
            self._log.strand(str(error))
        except TurnTooLong as error:
            self.halt(error)

    def replay(self) -> Runner | None:
        """Runs a finished run's code through its history; nothing is recorded, nothing leaves."""
        if self.call is None:
            return None
        ended, self._log.ended = self._log.ended, None
        self._log.is_sealed = True
        try:
            runner = self._runner or self._make_runner()
            self._run_stretch(runner.run)
            while not runner.is_done and self._give_next():
                self._run_stretch(runner.run)
        finally:
            self._log.ended, self._log.is_sealed = ended, False
        return runner

    def restart(self) -> None:
        """Lets it go through its history again, in the same attempt."""
        self.stop()
        self._execution.begin_code()
        self._steps.begin_replay()

    def bar(self, problem: str) -> None:
        """It ran in this turn before, and blocked: it is stuck as soon as it is to run."""
        self._barred = problem

    def leave(self) -> Callable[[], None] | None:
        """Begins anew where it can't go on in another thread; gives what ends it in this one."""
        runner = self._runner
        if not isinstance(runner, GreenletRunner):
            return None
        self._runner = None
        return runner.close

    def give_up(self) -> Callable[[], None]:
        """Gives what ends it where it is, once it comes back."""
        runner, self._runner = self._runner, None
        return _nothing if runner is None else runner.close

    def stop(self) -> None:
        """Ends it where it waits; what its ``finally`` blocks ask for is not recorded."""
        runner, self._runner = self._runner, None
        if runner is not None:
            was_ending, self.is_ending = self.is_ending, True
            self._execution.services.watch.run(runner.close, _is_live, self._execution)
            self.is_ending = was_ending

    def halt(self, error: TurnTooLong) -> None:
        """It took too long: nothing of it goes on until a person acts."""
        if self._log.ended is None:
            self._log.halt(str(error), TurnTooLong.__name__)
        self.stop()

    def ask(self, function: Callable[[], R], *, may_look: bool = False) -> R:
        """Calls a function that the code gave, within the same bounds as the code itself.

        Args:
            function: a handler or a condition.
            may_look: it changes nothing, so what it looks at makes no difference.

        Raises:
            TurnTooLong: it took longer than a stretch of code may.
        """
        results: list[R] = []
        self._run_stretch(lambda: call_into(results, function), is_guarded=not may_look)
        return results[0]

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Called by the code: it can't go on before this is true."""
        assert self._runner is not None, "only running code waits"
        self._runner.wait_until(is_ready)

    def new_future(self) -> Any:
        """Something that an ``async def`` waits on."""
        if not isinstance(self._runner, CoroutineRunner):
            raise InvalidArguments("`await` belongs in an `async def` workflow; in a `def` use .get()")
        return self._runner.new_future()

    def _run_stretch(self, code: Callable[[], None], *, is_guarded: bool = True) -> None:
        services = self._execution.services
        with services.guard if is_guarded else nullcontext():
            problem = services.watch.run(code, self._steps.is_rerun, self._execution)
        if problem:
            raise TurnTooLong(problem)

    def _give_next(self) -> bool:
        """Gives the code what it waits for: what was recorded first, else what is decided now."""
        execution = self._execution
        if "conditions" in execution.made:
            execution.conditions.look()
        ready = self._steps.next_ready()
        if ready is None:
            # Only here has the code caught up with its history.
            if "signals" not in execution.made or not execution.signals.match():
                return False
            ready = self._steps.next_ready()
            if ready is None:
                # Taken before a time-out that falls due later; given when the run is resumed.
                return False
        seq, key = ready
        if key != RUN_STEP:
            self._steps.deliver(key)
        elif seq == self._log.state.cancel_seq:
            assert self._runner is not None, "it waits"
            self._runner.interrupt(f"workflow {self._log.workflow!r} was cancelled")
        else:
            execution.handlers.repeat(seq)
        return True

    def _make_runner(self) -> Runner:
        assert self.call is not None, "only known functions run"
        if self._barred:
            raise TurnTooLong(self._barred)
        execution, function = self._execution, self.call.callable
        args, kwargs = execution.services.codec.decode_call(bytes(execution.created.args))
        self._steps.code_time_us = self._log.state.began_at or 0
        if self.call.is_async:
            ctx = AsyncWorkflowContext(execution)
            self._runner = CoroutineRunner(partial(function, ctx, *args, **kwargs), execution.timers)
        else:
            context = WorkflowContext(execution)
            self._runner = GreenletRunner(partial(function, context, *args, **kwargs))
        return self._runner


def _nothing() -> None:
    """There is no code to end."""


def _is_live() -> bool:
    """Code that is being ended does not replay."""
    return False
