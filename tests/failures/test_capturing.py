"""An exception becomes plain data, whatever its own code does."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
import pytest

from tempolite.core.failure import Failure
from tempolite.errors import (
    NonRetryable,
    NotStorable,
    WorkerLost,
)
from tempolite.execution.runner import GreenletRunner
from tempolite.failures import (
    MESSAGE_MAX,
    TRACEBACK_MAX,
    capture_failure,
    failure_matches,
    rebuild_failure,
)
from tests.failures import samples
from tests.failures.samples import (
    CODEC,
    Declined,
    Hostile,
    PickyFile,
    failing,
    raised,
    rebuilt,
    travelled,
)


def test_capturing_a_hostile_exception_never_raises() -> None:
    """Whatever the exception's own code does, SystemExit included."""
    failure = capture_failure(raised(Hostile("a", threading.Lock())), CODEC)

    assert failure.type_name == f"{samples.__name__}:Hostile"
    assert failure.message == "<its text can't be made>"
    assert failure.is_exception
    assert type(rebuild_failure(failure, CODEC)) is Hostile


def test_texts_of_a_failure_are_bounded() -> None:
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


def test_the_message_is_kept_at_the_end_of_the_stack() -> None:
    """Where there is room for nothing else, not even for a traceback."""
    captured: list[Failure] = []

    def descend(error: ValueError) -> None:
        try:
            descend(error)
        except RecursionError:
            with suppress(RecursionError):  # no room for the call itself
                captured.append(capture_failure(error, CODEC))
            if len(captured) < 50:
                raise

    descend(ValueError("the reason"))

    assert {failure.message for failure in captured} == {"the reason"}


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
    """Those outside of the user's code; of an error that is all ours, the last frame stays."""

    async def inner() -> None:
        raise ValueError("a")

    assert frames_of(partial(asyncio.run, inner())) == ["inner"]
    assert len(frames_of(partial(asyncio.run, None))) == 1


def frames_of(code: Callable[[], object]) -> list[str]:
    """Names of the functions in the traceback of what workflow code raises."""
    runner = GreenletRunner(code)
    runner.run()
    assert runner.error is not None
    return re.findall(r", in (\S+)", capture_failure(runner.error, CODEC).traceback)


def test_an_exception_never_raised_has_no_traceback() -> None:
    """Such as the engine's own verdicts."""
    failure = travelled(WorkerLost("m", cause="SIGKILL"))

    assert failure.traceback == ""
    assert rebuild_failure(failure, CODEC).__cause__ is None


def test_failures_match_by_the_names_of_their_bases() -> None:
    """As ``except`` would: for retry policies."""
    failure = travelled(raised(PickyFile("/x")))

    assert failure.lineage == (
        f"{samples.__name__}:PickyFile",
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
        "type_name": f"{samples.__name__}:Declined",
        "message": "a was declined",
        "lineage": [f"{samples.__name__}:Declined", "builtins:Exception", "builtins:BaseException"],
        "args": ["a was declined"],
        "state": {"order": "a", "code": 1},
    }


def test_attributes_named_like_a_tag_are_kept() -> None:
    """An attribute ``$`` is no tag."""
    error = ValueError("a")
    vars(error).update({"$": 1, "v": (2,)})

    assert vars(rebuilt(error)) == {"$": 1, "v": (2,)}
