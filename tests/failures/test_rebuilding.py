"""A failure becomes the exception again, without running its code."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from typing import Any

import pytest

from tempolite.core.failure import Failure
from tempolite.errors import (
    ActivityError,
    Cancelled,
    DeadlineExceeded,
    EngineLocked,
    NonRetryable,
    RemoteTraceback,
    SagaCompensated,
    SagaFailed,
    WorkerLost,
    WorkflowFailed,
)
from tempolite.failures import (
    rebuild_failure,
)
from tests.failures import samples
from tests.failures.samples import (
    CODEC,
    RAN,
    Coded,
    Declined,
    Group,
    PickyFile,
    Trapped,
    failing,
    local_error,
    raised,
    rebuilt,
    travelled,
)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("a", 1, (2, {"b": None})),
        KeyError("missing"),
        StopIteration(5),
        Declined("order", 3),
        FileNotFoundError(2, "gone", "/a"),
        OSError(2, "gone", "/a", None, "/b"),
        PickyFile("/x"),
        failing(lambda: open("/no/such/file")),  # noqa: SIM115
        failing(lambda: b"\xff".decode()),
        failing(lambda: "\ud800".encode()),
        failing(lambda: compile("a b", "file.py", "exec")),
        failing(lambda: json.loads("{")),
        subprocess.CalledProcessError(3, ["cmd"], output=b"x"),
        ImportError("no", name="n", path="/p"),
        TimeoutError("late"),
        Coded(7),
        Trapped("a"),
        EngineLocked("held", pid=7),
        ActivityError("m", "t", "tb"),
        WorkerLost("m", cause="SIGKILL"),
        DeadlineExceeded("m"),
        NonRetryable("stop"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_as_itself(error: Exception) -> None:
    """P5: the same type with the same arguments, attributes and text."""
    result = rebuilt(error)

    assert type(result) is type(error)
    assert result.args == error.args
    assert str(result) == str(error)
    for name in (
        "order",
        "code",
        "errno",
        "filename",
        "filename2",
        "path",
        "pid",
        "value",
        "start",
        "lineno",
    ):
        assert getattr(result, name, None) == getattr(error, name, None)
    notes = {"__notes__": result.__notes__} if hasattr(result, "__notes__") else {}
    assert vars(result) == vars(error) | notes


def test_a_group_comes_back_with_its_exceptions() -> None:
    """Also one of a user's own type, without its ``__new__``."""
    error = Group("several", [Declined("a", 1), ExceptionGroup("inner", [KeyError("b")])], "tag")
    RAN.clear()

    result = rebuilt(error)

    assert RAN == []
    assert (type(result), result.message, result.tag) == (Group, "several", "tag")
    assert result.exceptions[0].code == 1
    assert repr(result.exceptions[1]) == "ExceptionGroup('inner', [KeyError('b')])"
    assert result.subgroup(KeyError) is not None


def test_no_code_of_the_exception_runs() -> None:
    """No constructor, property, ``__setattr__``, ``__reduce__`` or ``__setstate__``; slots are kept."""
    failure = travelled(raised(Trapped("a")))
    RAN.clear()

    result: Any = rebuild_failure(failure, CODEC, step="x")

    assert RAN == []
    assert result.detail == 5


def test_notes_tell_step_and_attempt() -> None:
    """Behind the notes that it had."""
    error = ValueError("a")
    error.add_note("seen")

    assert rebuilt(error, step="charge", attempt=2).__notes__ == ["seen", "in step 'charge', attempt 2"]
    assert rebuilt(error, step="child").__notes__ == ["seen", "in step 'child'"]
    assert rebuilt(error).__notes__ == ["seen"]


def test_the_remote_traceback_is_the_cause() -> None:
    """Text of where it was raised, without local variables."""
    secret = "secret value"
    error = failing(lambda: (_ for _ in ()).throw(ValueError("a")))

    cause = rebuild_failure(travelled(error), CODEC).__cause__

    assert type(cause) is RemoteTraceback
    assert "test_rebuilding.py" in str(cause)
    assert "ValueError: a" in str(cause)
    assert secret not in str(cause).replace('secret = "secret value"', "")


def test_an_explicit_cause_comes_back_as_the_cause() -> None:
    """The remote traceback stands at the end of the chain: SagaCompensated's cause is the failure itself."""
    error = raised(SagaCompensated("undone"), raised(Declined("a", 1), raised(KeyError("k"))))

    result: Any = rebuild_failure(travelled(error), CODEC, step="saga")

    assert (type(result), type(result.__cause__)) == (SagaCompensated, Declined)
    assert result.__cause__.code == 1
    assert repr(result.__cause__.__cause__) == "KeyError('k')"
    assert "direct cause" in str(result.__cause__.__cause__.__cause__)


def test_an_implicit_cause_is_in_the_text() -> None:
    """What was being handled is told, but is no cause."""

    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    failure = travelled(failing(fail))
    cause = rebuild_failure(failure, CODEC).__cause__

    assert failure.cause is not None
    assert (failure.cause.type_name, failure.cause_is_explicit) == ("builtins:KeyError", False)
    assert "During handling of the above exception" in str(cause)


def test_a_failure_that_travels_twice_keeps_one_remote_traceback() -> None:
    """Through a child to its parent: one chain, one text, the notes of both."""
    first = rebuilt(Declined("a", 1), step="charge", attempt=1)

    second = rebuilt(first, step="child")

    assert second.__notes__ == ["in step 'charge', attempt 1", "in step 'child'"]
    assert type(second.__cause__) is RemoteTraceback
    assert second.__cause__.__cause__ is None
    assert str(second.__cause__).count("in step 'charge', attempt 1") == 1


def test_errors_of_a_saga_come_back_as_exceptions() -> None:
    """``SagaFailed.errors`` in the order in which they happened."""
    result = rebuilt(SagaFailed("both", [Declined("a", 1), KeyError("b")]))

    assert [type(error) for error in result.errors] == [Declined, KeyError]
    assert result.errors[0].code == 1


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        Cancelled(),
        asyncio.CancelledError(),
        BaseException("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_becomes_an_activity_error(error: BaseException) -> None:
    """It must not end the workflow's thread."""
    failure = travelled(raised(error))
    result: Any = rebuild_failure(failure, CODEC)

    assert not failure.is_exception
    assert type(result) is ActivityError
    assert result.type_name == failure.type_name
    assert (result.message, type(error).__name__ in result.traceback) == (str(error), True)


def test_a_type_that_is_not_known_becomes_the_fallback() -> None:
    """With its name, its text and its traceback."""
    activity = rebuilt(local_error(), step="charge", attempt=1)
    workflow = rebuilt(local_error(), fallback=WorkflowFailed)

    assert (type(activity), type(workflow)) == (ActivityError, WorkflowFailed)
    assert activity.type_name == f"{samples.__name__}:local_error.<locals>.Local"
    assert (activity.message, activity.__notes__) == ("here", ["in step 'charge', attempt 1"])
    assert "raise error" in activity.traceback
    assert str(workflow) == f"{workflow.type_name}: here"


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "builtins:SystemExit",
        "builtins:int",
        "no:X",
        "",
        "x",
    ],
)
def test_a_name_that_is_no_exception_runs_nothing(name: str) -> None:
    """A record that somebody changed, or a class that is no exception any more."""
    result = rebuild_failure(Failure(type_name=name, message="m", args=["id"]), CODEC)

    assert type(result) is ActivityError


@pytest.mark.parametrize(
    "failure",
    [
        Failure(type_name="builtins:ExceptionGroup", message="m", args=["m", [1]]),
        Failure(type_name="builtins:ExceptionGroup", message="m", args=[]),
        Failure(type_name="builtins:ValueError", message="m", args=[{"$": "nonsense"}]),
        Failure(type_name="builtins:ValueError", message="m", args=[{"$": "no:Such", "v": {}}]),
        Failure(type_name="builtins:OSError", message="m", args=[], state={"errno": {"$": "int", "v": "z"}}),
        Failure(type_name="builtins:UnicodeDecodeError", message="m", args=[], state={"start": "x"}),
        Failure(type_name=f"{samples.__name__}:WithDel", message="m", args=[]),
    ],
    ids=lambda failure: failure.type_name,
)
def test_a_record_that_can_not_be_rebuilt_becomes_the_fallback(failure: Failure) -> None:
    """Wrong arguments, damaged trees, types that would run code."""
    assert type(rebuild_failure(failure, CODEC)) is ActivityError


def test_arguments_that_can_not_be_stored_give_way_to_the_text() -> None:
    """The type is kept; so are the attributes that can be stored."""
    error = Declined("a", 1)
    error.args = (threading.Lock(),)
    error.lock = threading.Lock()  # type: ignore[attr-defined]

    failure = travelled(raised(error))
    result: Any = rebuild_failure(failure, CODEC)

    assert failure.args is None
    assert (type(result), result.args, result.code) == (Declined, (str(error),), 1)
    assert not hasattr(result, "lock")
