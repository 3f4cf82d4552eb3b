"""Events: a closed set, and each comes back from its JSON as it was."""

from __future__ import annotations

import inspect
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempolite.core import events
from tempolite.core.events import BODIES, AnyBody, Body, Entry, decode_body, encode_body
from tempolite.core.failure import Failure
from tempolite.core.identifiers import StepKey
from tempolite.core.queues import DEFAULT_QUEUE
from tempolite.core.retry import RetrySpec
from tests.core.samples import CREATED, FAILURE, SAMPLES

KINDS = [pytest.param(sample, id=type(sample).__name__) for sample in SAMPLES]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)


def failures(cause: st.SearchStrategy[Failure | None]) -> st.SearchStrategy[Failure]:
    """Failures of any content, raised from one of these."""
    return st.builds(
        Failure,
        type_name=TEXTS,
        message=TEXTS,
        traceback=TEXTS,
        lineage=st.lists(TEXTS, max_size=2).map(tuple),
        args=st.none() | st.lists(TREES, max_size=2),
        state=st.none() | st.dictionaries(TEXTS, TREES, max_size=2),
        notes=st.lists(TEXTS, max_size=2).map(tuple),
        cause=cause,
        cause_is_explicit=st.booleans(),
        is_exception=st.booleans(),
        retryable=st.booleans(),
    )


@pytest.mark.parametrize("body", KINDS)
def test_every_body_comes_back_equal_from_its_json(body: AnyBody) -> None:
    """What is recorded is what was said, every field of it."""
    payload = encode_body(body)

    back = decode_body(type(body).__name__, payload)

    assert type(back) is type(body)
    assert back == body


def test_an_update_that_failed_comes_back_without_a_value() -> None:
    """It has a failure instead, and no ``null`` stands for a value that was never given."""
    body = events.UpdateAccepted("add", msgspec.Raw(b"[[3],{}]"), failure=FAILURE)

    back = decode_body("UpdateAccepted", encode_body(body))

    assert back == body
    assert b"result" not in encode_body(body)


@pytest.mark.parametrize("body", KINDS)
def test_a_body_comes_back_from_text_as_well(body: AnyBody) -> None:
    """SQLite gives text where bytes were encoded."""
    assert decode_body(type(body).__name__, encode_body(body).decode()) == body


@pytest.mark.parametrize("body", KINDS)
def test_every_sample_has_all_its_fields_set(body: AnyBody) -> None:
    """The round trips above leave out no field because it is at its default."""
    written = msgspec.json.decode(encode_body(body))

    assert set(written) == set(body.__struct_fields__)


def test_there_is_a_sample_of_every_kind() -> None:
    """A new kind of event is not forgotten by these tests."""
    assert {type(sample) for sample in SAMPLES} == set(BODIES.values())
    assert len(SAMPLES) == len(BODIES)


def test_the_union_and_the_table_name_the_same_kinds() -> None:
    """The set is closed: what can be matched is what can be read, by the name of its class."""
    declared = {
        kind
        for _, kind in inspect.getmembers(events, inspect.isclass)
        if issubclass(kind, Body) and kind is not Body
    }

    assert set(get_args(AnyBody)) == declared
    assert [kind.__name__ for kind in BODIES.values()] == list(BODIES)
    assert set(BODIES.values()) == declared


def test_fields_at_their_default_are_not_written() -> None:
    """Histories hold what was said, and old ones are read with today's defaults."""
    plain = events.RunCreated(workflow="run", function="m:f", args=msgspec.Raw(b"[[],{}]"), seed=1)

    assert encode_body(plain) == b'{"workflow":"run","function":"m:f","args":[[],{}],"seed":1}'
    assert decode_body("RunCreated", encode_body(plain)) == plain
    assert plain.queue == DEFAULT_QUEUE
    assert plain.retry == RetrySpec()


def test_values_of_user_code_stand_as_json_in_the_payload() -> None:
    """SQL can read them: they are no text within the text."""
    body = events.ActivityCompleted(msgspec.Raw(b'{"total":12.5}'))

    assert encode_body(body) == b'{"result":{"total":12.5}}'


def test_a_failure_stands_as_json_in_the_payload() -> None:
    """``$.failure.args[0]`` leads somewhere."""
    payload = msgspec.json.decode(encode_body(events.RunFailed(FAILURE)))

    assert payload["failure"]["args"][0] == "declined"
    assert payload["failure"]["cause"]["type_name"] == "builtins:KeyError"


@settings(deadline=None, max_examples=60)
@given(failures(st.none() | failures(st.none())))
def test_any_failure_survives_both_encodings(failure: Failure) -> None:
    """JSON in the file, msgpack from a worker: the same failure."""
    body = events.ActivityFailed(failure)

    assert decode_body("ActivityFailed", encode_body(body)) == body
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure) == failure


def test_an_unknown_kind_of_event_is_refused() -> None:
    """A name that is not in the table is a KeyError, not a guess."""
    with pytest.raises(KeyError, match="RunExploded"):
        decode_body("RunExploded", b"{}")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("ActivityCompleted", b"{}"),
        ("ActivityCompleted", b"[1]"),
        ("ActivityWorkerLost", b'{"cause":3}'),
        ("AttemptBegan", b'{"reason":"whim"}'),
        ("RunAttemptFailed", b'{"failure":{"type_name":"m:E","message":"no"},"retry_at":"soon"}'),
        ("RunStuck", b'{"problem":"cut off'),
        ("RunStarted", b""),
    ],
)
def test_a_payload_of_another_shape_is_refused(kind: str, payload: bytes) -> None:
    """Damaged or foreign payloads are told as such."""
    with pytest.raises(msgspec.DecodeError):
        decode_body(kind, payload)


def test_facts_can_not_be_changed() -> None:
    """What happened has happened."""
    entry = Entry(1, 0, CREATED)

    with pytest.raises(AttributeError):
        entry.seq = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        CREATED.function = "other"  # type: ignore[misc]


def test_an_entry_belongs_to_the_run_unless_a_step_is_named() -> None:
    """Events of the run itself need no step and count as the first attempt."""
    entry = Entry(1, 0, CREATED)

    assert entry.step == StepKey("")
    assert entry.attempt == 1
