"""The supervisor: starts in order, stops in reverse, and passes the first failure upwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tempolite.actors.supervisor import Perform, Supervisor
from tests.actors.probes import Probe, Raise, Say


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures here are on purpose."""
    with caplog.at_level(logging.CRITICAL + 1, "tempolite"):
        yield


class Named(Probe):
    """Says when it starts and stops.

    Args:
        name: what it is called.
        log: where it says so.
    """

    def __init__(self, name: str, log: list[str], supervisor: Supervisor) -> None:
        super().__init__(urn=name, on_actor_failure=supervisor.on_child_failure)
        self._log = log

    def on_start(self) -> None:
        self._log.append(f"start {self.actor_urn}")

    def on_stop(self) -> None:
        self._log.append(f"stop {self.actor_urn}")


def family(failures: list[Exception]) -> tuple[Supervisor, list[Named], list[str], SeededDispatcher]:
    dispatcher, log = SeededDispatcher(seed=1), list[str]()
    supervisor = Supervisor(failures.append)
    supervisor.launch(dispatcher)
    children = [Named(name, log, supervisor) for name in "abc"]
    for child in children:
        supervisor.add(child, dispatcher)
    return supervisor, children, log, dispatcher


def test_children_start_in_order_and_stop_in_reverse() -> None:
    """Whoever comes later may rely on who came before, to the end."""
    supervisor, children, log, _ = family([])

    supervisor.stop_children()

    assert log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]
    assert not any(child.actor_ref.is_alive() for child in children)


def test_the_first_failure_goes_upwards_once() -> None:
    """The engine ends with its cause, not with what followed from it."""
    failures: list[Exception] = []
    _, children, _, dispatcher = family(failures)
    first, second = ValueError("first"), ValueError("second")

    children[1].actor_ref.tell(Raise(first))
    dispatcher.run_until_idle()
    children[0].actor_ref.tell(Raise(second))
    dispatcher.run_until_idle()

    assert failures == [first]


def test_a_failure_that_is_no_exception_goes_upwards_as_one() -> None:
    """Nobody up there is ended by a SystemExit of ours."""
    failures: list[Exception] = []
    _, children, _, dispatcher = family(failures)

    children[2].actor_ref.tell(Raise(SystemExit(3)))
    dispatcher.run_until_idle()

    assert [str(failure) for failure in failures] == ["SystemExit(3)"]
    assert isinstance(failures[0], Exception)


def test_a_failed_child_is_not_patched_up() -> None:
    """It may have lost a message in the middle; what it still does is for the engine's end to decide."""
    failures: list[Exception] = []
    _, children, log, dispatcher = family(failures)

    children[0].actor_ref.tell(Raise(ValueError("no")))
    children[0].actor_ref.tell(Say("after"))
    dispatcher.run_until_idle()

    assert log == ["start a", "start b", "start c"]
    assert children[0].said == ["after"]


def test_something_can_be_done_in_the_dispatcher_s_thread() -> None:
    """And its value comes back, or what it raises."""
    supervisor, _, _, dispatcher = family([])

    done = supervisor.actor_ref.ask(Perform(dispatcher.is_current_thread), block=False)
    failed = supervisor.actor_ref.ask(Perform(lambda: 1 // 0), block=False)
    dispatcher.run_until_idle()

    assert done.get(timeout=0) is True
    with pytest.raises(ZeroDivisionError):
        failed.get(timeout=0)
