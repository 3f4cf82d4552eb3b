"""Exceptions as data: captured whatever they do, rebuilt as themselves without running their code."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tempolite.codec import JsonCodec
from tempolite.core.failure import Failure
from tempolite.errors import (
    ActivityError,
    Cancelled,
    DeadlineExceeded,
    EngineLocked,
    NonRetryable,
    NotStorable,
    RemoteTraceback,
    SagaCompensated,
    SagaFailed,
    WorkerLost,
    WorkflowFailed,
)
from tempolite.failures import (
    MESSAGE_MAX,
    TRACEBACK_MAX,
    capture_failure,
    failure_matches,
    rebuild_failure,
)

RAN: list[str] = []
CODEC = JsonCodec()


class Declined(Exception):
    """Takes other arguments than it passes on."""

    def __init__(self, order: str, code: int) -> None:
        RAN.append("__init__")
        super().__init__(f"{order} was declined")
        self.order = order
        self.code = code


class Trapped(ValueError):
    """Every hook says that it ran, and fails where it can."""

    __slots__ = ("detail",)

    def __new__(cls, *args: Any) -> Trapped:
        RAN.append("__new__")
        return super().__new__(cls, *args)

    def __init__(self, *args: Any) -> None:
        RAN.append("__init__")
        super().__init__(*args)
        self.detail = 5

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("__setattr__")
        super().__setattr__(name, value)

    def __setstate__(self, state: Any) -> None:
        RAN.append("__setstate__")

    def __reduce__(self) -> Any:
        RAN.append("__reduce__")
        return super().__reduce__()

    @property
    def code(self) -> int:
        RAN.append("code")
        return 1

    @code.setter
    def code(self, value: int) -> None:
        RAN.append("code")


class Hostile(Exception):
    """Fails at everything that it can be asked."""

    def __str__(self) -> str:
        raise SystemExit("str")

    __repr__ = __str__

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise KeyboardInterrupt

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise ValueError("dict")

    @property
    def __notes__(self) -> Any:
        raise ValueError("notes")

    @property
    def __class__(self) -> Any:
        raise ValueError("class")

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)


class PickyFile(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)
        self.path = path


class Group(ExceptionGroup[Exception]):
    def __new__(cls, message: str, errors: list[Exception], tag: str = "") -> Group:
        RAN.append("__new__")
        self = super().__new__(cls, message, errors)
        self.tag = tag
        return self


@dataclasses.dataclass
class Coded(Exception):
    code: int


class WithDel(Exception):
    def __del__(self) -> None:
        RAN.append("__del__")


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception with a traceback."""
    try:
        if cause is not None:
            raise error from cause
        raise error
    except BaseException as caught:
        return caught


def travelled(error: BaseException) -> Failure:
    """Captured, sent by msgpack, stored as JSON."""
    failure = capture_failure(error, CODEC)
    failure = msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
    return msgspec.json.decode(msgspec.json.encode(failure), type=Failure)


def rebuilt(error: BaseException, **where: Any) -> Any:
    return rebuild_failure(travelled(raised(error)), CODEC, **where)


def failing(fn: Callable[[], Any]) -> BaseException:
    """What ``fn`` raises."""
    try:
        fn()
    except BaseException as error:
        return error
    raise AssertionError("it was to fail")


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
    assert "test_failures.py" in str(cause)
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


def local_error() -> Exception:
    class Local(Exception):
        pass

    return Local("here")


def test_a_type_that_is_not_known_becomes_the_fallback() -> None:
    """With its name, its text and its traceback."""
    activity = rebuilt(local_error(), step="charge", attempt=1)
    workflow = rebuilt(local_error(), fallback=WorkflowFailed)

    assert (type(activity), type(workflow)) == (ActivityError, WorkflowFailed)
    assert activity.type_name == f"{__name__}:local_error.<locals>.Local"
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
        Failure(type_name=f"{__name__}:WithDel", message="m", args=[]),
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


def test_capturing_never_raises() -> None:
    """Whatever the exception's own code does, SystemExit included."""
    failure = capture_failure(raised(Hostile("a", threading.Lock())), CODEC)

    assert failure.type_name == f"{__name__}:Hostile"
    assert failure.message == "<its text can't be made>"
    assert failure.is_exception
    assert type(rebuild_failure(failure, CODEC)) is Hostile


def test_texts_are_bounded() -> None:
    """Of a long message and of a long traceback the beginning and the end are kept."""
    error: BaseException = ValueError("x" * 10 * MESSAGE_MAX + "end")
    for number in range(1_000):
        error = raised(ValueError(f"link {number} " + "y" * 1_000), error)

    failure = capture_failure(error, CODEC)
    first = capture_failure(raised(ValueError("x" * 10 * MESSAGE_MAX + "end")), CODEC)

    assert len(first.message) < MESSAGE_MAX + 100
    assert first.message.endswith("end")
    assert len(failure.traceback) < TRACEBACK_MAX + 100
    assert len(msgspec.json.encode(failure)) < 200_000


def test_texts_that_are_no_unicode_are_kept_readable() -> None:
    """Lone surrogates are escaped: the record can always be encoded."""
    failure = travelled(raised(ValueError("a\ud800")))

    assert failure.message == "a\\ud800"
    assert rebuild_failure(failure, CODEC).args == ("a\ud800",)


def test_large_arguments_give_way_to_the_text() -> None:
    """A failure stays small."""
    failure = capture_failure(ValueError("x" * 2**21), CODEC)

    assert failure.args is None
    assert len(msgspec.json.encode(failure)) < 2 * MESSAGE_MAX


def test_endless_recursion_is_a_failure_like_any_other() -> None:
    """At the top, and at the end of the stack."""
    captured: list[Failure] = []

    def descend(depth: int) -> None:
        try:
            descend(depth + 1)
        except RecursionError as error:
            if len(captured) < 50:
                captured.append(capture_failure(error, CODEC))
            raise

    captured.append(capture_failure(failing(lambda: descend(0)), CODEC))

    assert {failure.type_name for failure in captured} == {"builtins:RecursionError"}
    assert "RecursionError" in captured[-1].traceback
    assert len(captured[-1].traceback) < TRACEBACK_MAX + 100


def test_chains_and_circles_of_causes_are_bounded() -> None:
    """Eight links, and none twice."""
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    failure: Failure | None = travelled(first)
    links = 0
    while failure is not None:
        failure, links = failure.cause, links + 1

    assert links == 2


def test_frames_of_the_machinery_are_left_out() -> None:
    """The outermost ones, as many as are told; the last one stays."""

    def inner() -> None:
        raise ValueError("a")

    error = failing(inner)

    assert "in failing" in capture_failure(error, CODEC).traceback
    assert "in failing" not in capture_failure(error, CODEC, skip_frames=1).traceback
    assert "in inner" in capture_failure(error, CODEC, skip_frames=99).traceback


def test_an_exception_never_raised_has_no_traceback() -> None:
    """Such as the engine's own verdicts."""
    failure = travelled(WorkerLost("m", cause="SIGKILL"))

    assert failure.traceback == ""
    assert rebuild_failure(failure, CODEC).__cause__ is None


def test_failures_match_by_the_names_of_their_bases() -> None:
    """As ``except`` would: for retry policies."""
    failure = travelled(raised(PickyFile("/x")))

    assert failure.lineage == (
        f"{__name__}:PickyFile",
        "builtins:OSError",
        "builtins:Exception",
        "builtins:BaseException",
    )
    assert failure_matches(failure, (KeyError, OSError))
    assert failure_matches(failure, (Exception,))
    assert not failure_matches(failure, (FileNotFoundError, ValueError))
    assert not failure_matches(failure, ())
    assert not failure_matches(travelled(SystemExit()), (Exception,))


@pytest.mark.parametrize(
    ("error", "retryable"),
    [(ValueError(), True), (SystemExit(), True), (NonRetryable(), False), (NotStorable(), False)],
    ids=repr,
)
def test_some_failures_are_never_tried_again(error: BaseException, retryable: bool) -> None:
    """NonRetryable says so itself; a result that can't be stored would not be stored next time either."""
    assert travelled(error).retryable is retryable


def test_a_record_is_readable_json() -> None:
    """Arguments stand in it as they are."""
    failure = capture_failure(Declined("a", 1), CODEC)

    assert json.loads(msgspec.json.encode(failure)) == {
        "type_name": f"{__name__}:Declined",
        "message": "a was declined",
        "lineage": [f"{__name__}:Declined", "builtins:Exception", "builtins:BaseException"],
        "args": ["a was declined"],
        "state": {"order": "a", "code": 1},
    }


def test_attributes_named_like_a_tag_are_kept() -> None:
    """An attribute ``$`` is no tag."""
    error = ValueError("a")
    vars(error).update({"$": 1, "v": (2,)})

    assert vars(rebuilt(error)) == {"$": 1, "v": (2,)}
