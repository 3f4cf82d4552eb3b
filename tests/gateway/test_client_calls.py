"""A client has the calls of the engine, and each does what the engine's own does."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tempolite import (
    Busy,
    Client,
    ContinueAsNew,
    HandlerNotFound,
    InvalidArguments,
    InvalidState,
    NotRegistered,
    NotStorable,
    PayloadTooLarge,
    Queue,
    QueueExists,
    QueueNotFound,
    ScheduleNotFound,
    SharedEngine,
    Status,
    Tempolite,
    TempoliteError,
    WorkflowAlreadyExists,
    WorkflowCancelled,
    WorkflowFinished,
    WorkflowNotFound,
    workflow,
)
from tests.engine.conftest import EngineMaker
from tests.gateway.conftest import ClientMaker
from tests.gateway.workflows import (
    KNOWN,
    Declined,
    Order,
    declared,
    double,
    echo,
    failing,
    listening,
    parent,
    sleeping,
    stepping,
    unknown,
)

WAIT_S = 20

OWNERS_ONLY = {
    *("start", "astart", "register", "when_ended"),  # its own life
    *("connect", "aconnect"),
}
"""What makes no sense in a process without an engine."""


NAMED_MORE = {*("close", "aclose"), *("aworkflows", "acount")}
"""A client's close has no time-out, and its twins name the filters."""


def public_calls(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [Client, SharedEngine])
def test_every_call_of_the_engine_is_there(kind: type) -> None:
    """With its awaitable twin; but for those about the engine's own life."""
    assert public_calls(Tempolite) - public_calls(kind) <= OWNERS_ONLY | {"shared"}


@pytest.mark.parametrize("name", sorted(public_calls(Client) & public_calls(Tempolite) - NAMED_MORE))
def test_a_call_takes_the_engine_s_arguments(name: str) -> None:
    """Names, order and defaults; what works with an engine works with a client."""
    assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(Tempolite, name))


@pytest.mark.parametrize("function", [double, "tests.gateway.workflows:double"])
def test_a_run_is_started_by_function_or_by_name(client: Client, owner: Tempolite, function: Any) -> None:
    """It is the owner's run, and its outcome comes to whoever asks."""
    info = client.execute("a", function, 21)

    assert (info.get(timeout=WAIT_S), owner.get("a").get(timeout=WAIT_S)) == (42, 42)


def test_a_function_that_the_owner_does_not_know_is_refused(client: Client, owner: Tempolite) -> None:
    """Nothing is recorded, however it was given."""
    for function in (unknown, "somewhere:else"):
        with pytest.raises(NotRegistered, match="is not known to this engine"):
            client.execute("a", function)

    assert owner.count() == 0


def test_ids_mean_what_they_mean_to_the_engine(client: Client, owner: Tempolite) -> None:
    """The same id and function is the same run; another function is refused; without one, an id is made."""
    owner.execute("a", double, 1)

    assert client.execute("a", double, 5).get(timeout=WAIT_S) == 2
    with pytest.raises(WorkflowAlreadyExists):
        client.execute("a", listening)
    assert client.execute(None, double, 1).id != client.execute(None, double, 1).id
    assert client.execute(None, workflow(double, id="named"), 1).id == "named"


def test_values_come_out_as_they_went_in(client: Client) -> None:
    """Typed ones too, in arguments by place and by name, and in results."""
    order = Order(1, ("tea", "milk"))

    info = client.execute("a", echo, {"orders": [order], 2: b"x"}, again={order, 3})

    assert info.get(timeout=WAIT_S) == ({"orders": [order], 2: b"x"}, {order, 3})


def test_options_of_the_function_that_was_given_count(owner: Tempolite, client: Client) -> None:
    """A client's own options, or those of the owner's function where only its name was given."""
    owner.create_queue(Queue("held", workers=0, kind="inline"))
    owner.create_queue(Queue("other", workers=0, kind="inline"))

    by_name = client.execute("a", "orders.double", 1)
    by_function = client.execute("b", declared, 1)
    by_options = client.execute("c", workflow(double, queue="other", defer=True), 1)

    assert [info.queue for info in (by_name, by_function, by_options)] == ["held", "held", "other"]
    assert by_options.status == Status.PENDING
    client.enqueue("c")
    assert by_options.get(timeout=WAIT_S) == 2


def test_an_error_of_a_workflow_is_raised_as_itself(client: Client) -> None:
    """Its type, arguments and attributes, and where it came from."""
    with pytest.raises(Declined) as caught:
        client.execute("a", failing, Order(3, ())).get(timeout=WAIT_S)

    assert caught.value.args == (Order(3, ()), "no money")
    assert caught.value.order == Order(3, ())
    assert "raise Declined" in str(caught.value.__cause__)


def test_signals_queries_and_updates_reach_the_run(client: Client) -> None:
    """By the client's calls, by a handle's, and with values of the user's types."""
    info = client.execute("a", listening)

    assert client.update("a", "add", Order(1, ())) == 1
    assert info.query("got") == [Order(1, ())]
    with pytest.raises(Declined, match="nothing"):
        info.update("add", None)
    info.signal("go", (1, 2), dedup="once")
    assert info.get(timeout=WAIT_S) == [Order(1, ()), (1, 2)]


def test_a_run_is_paused_resumed_and_cancelled(client: Client, owner: Tempolite) -> None:
    """As by the engine's own calls."""
    info = client.execute("a", listening)

    info.pause()
    assert info.status == Status.PAUSED
    info.resume()
    info.cancel()
    with pytest.raises(WorkflowCancelled):
        info.get(timeout=WAIT_S)


def test_a_run_s_actor_is_spoken_to(client: Client, owner: Tempolite) -> None:
    """``actor_ref`` of a client's handle asks and tells, and knows whether the run is finished."""
    ref = client.execute("a", listening).actor_ref

    ref.ask(ContinueAsNew(()))
    ref.tell(ContinueAsNew(()))

    assert ref.is_alive()
    with pytest.raises(InvalidArguments, match="too many"):
        ref.ask(ContinueAsNew((1,)))


def test_a_handle_shows_what_the_owner_has(client: Client, owner: Tempolite) -> None:
    """Every attribute, read afresh."""
    ours, theirs = client.execute("a", parent), owner.get("a")
    ours.get(timeout=WAIT_S)

    for name in [name for name, found in vars(type(ours)).items() if isinstance(found, property)]:
        if name != "actor_ref":
            assert getattr(ours, name) == getattr(theirs, name), name


READS: dict[str, Callable[[Any], Any]] = {
    "get": lambda tp: tp.get("p").id,
    "workflows": lambda tp: [info.id for info in tp.workflows(function=double, status=("COMPLETED",))],
    "page": lambda tp: (len(page := tp.workflows(limit=2)), page.cursor),
    "times": lambda tp: len(tp.workflows(created_before=datetime.now(UTC) + timedelta(days=1))),
    "count": lambda tp: tp.count(parent="p", status=iter(["COMPLETED", "FAILED"])),
    "history": lambda tp: tp.history("p", run=1),
    "tree": lambda tp: [(node.info.id, node.children) for node in tp.tree("p").children],
    "queue": lambda tp: tp.queue("default"),
    "metrics": lambda tp: tp.metrics(),
    "events": lambda tp: list(tp.events(after=2)),
    "verify": lambda tp: tp.verify(),
    "replay": lambda tp: tp.replay("p"),
    "schedules": lambda tp: [each.name for each in tp.schedules()],
}


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_what_the_owner_reads(client: Client, owner: Tempolite, name: str) -> None:
    """Equal, and of the same types."""
    owner.execute("p", parent).get(timeout=WAIT_S)
    owner.wait(timeout=WAIT_S)

    ours, theirs = READS[name](client), READS[name](owner)

    assert repr(ours) == repr(theirs)


def test_runs_are_cloned_and_forked(client: Client) -> None:
    """The handles are the client's."""
    client.execute("a", stepping).get(timeout=WAIT_S)

    clone, fork = client.retry("a", "b"), client.fork("a", "c", before="two")

    assert (clone.get(timeout=WAIT_S), fork.get(timeout=WAIT_S)) == ([1, 1], [1, 1])
    assert (clone.retried_from, fork.forked_from) == ("a", "a")


def test_runs_are_deleted_and_the_file_is_looked_after(client: Client, path: Path) -> None:
    """``delete``, ``gc`` and ``backup``, whose path is seen from here."""
    client.execute("a", double, 1).get(timeout=WAIT_S)
    client.execute("b", double, 1).get(timeout=WAIT_S)

    assert client.delete(["a"]) == 1
    client.backup(path.with_name("copy.db"))
    assert client.gc(older_than=timedelta()) == 1
    assert oct(path.with_name("copy.db").stat().st_mode)[-3:] == "600"


def test_a_copy_s_path_is_that_of_the_client(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the owner works in another folder, a relative path means the client's."""
    seen: list[Any] = []
    monkeypatch.setattr(Tempolite, "backup", lambda self, path: seen.append(path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    client.backup("copy.db")

    assert seen == [os.path.join(tmp_path, "here", "copy.db")]


def test_queues_are_made_and_scaled(client: Client, owner: Tempolite) -> None:
    """While they work."""
    client.create_queue(Queue("more", workers=2, kind="thread"))

    assert client.scale("more", 1) == 2
    assert owner.queue("more").workers == 1
    with pytest.raises(QueueExists):
        client.create_queue(Queue("more"))


def test_schedules_are_made_seen_and_told(client: Client, owner: Tempolite) -> None:
    """Set by function or by name; the handle has the engine's attributes."""
    ours = client.schedule("hourly", timedelta(hours=1), double, 4)
    client.schedule("nightly", "0 3 * * *", "tests.gateway.workflows:double", 5, timezone="Europe/Paris")

    assert ours.trigger().get(timeout=WAIT_S) == 8
    assert [each.name for each in client.schedules()] == ["hourly", "nightly"]
    theirs = {each.name: each for each in owner.schedules()}
    ours.pause()
    assert (ours.is_paused, ours.next_at, ours.spec) == (True, None, timedelta(hours=1))
    assert client.schedules()[1].next_at == theirs["nightly"].next_at
    ours.delete()
    with pytest.raises(ScheduleNotFound):
        ours.history()


FAULTS: dict[str, tuple[type[TempoliteError], Callable[[Any], Any]]] = {
    "no such run": (WorkflowNotFound, lambda tp: tp.get("nobody")),
    "no such run to wait for": (
        WorkflowNotFound,
        lambda tp: tp.execute("b", double, 1).query and tp.history("x"),
    ),
    "a finished run": (WorkflowFinished, lambda tp: tp.signal("done", "go")),
    "no handler": (HandlerNotFound, lambda tp: tp.query("done", "got")),
    "wrong state": (InvalidState, lambda tp: tp.resume("done")),
    "no queue": (QueueNotFound, lambda tp: tp.queue("nowhere")),
    "no queue for a run": (QueueNotFound, lambda tp: tp.execute("b", workflow(double, queue="no"), 1)),
    "wrong arguments": (InvalidArguments, lambda tp: tp.execute("b", double, 1, 2)),
    "not callable": (InvalidArguments, lambda tp: tp.execute("b", 5)),
    "a bad id": (InvalidArguments, lambda tp: tp.execute("", double, 1)),
    "not storable": (NotStorable, lambda tp: tp.execute("b", echo, {"x": [print]})),
    "not storable as a signal": (NotStorable, lambda tp: tp.signal("done", "go", object())),
    "too large": (PayloadTooLarge, lambda tp: tp.execute("b", echo, "x" * 3_000)),
    "a bad filter": (InvalidArguments, lambda tp: tp.workflows(status="WHAT")),
    "a bad cron line": (InvalidArguments, lambda tp: tp.schedule("s", "nonsense", double, 1)),
    "a bad overlap": (InvalidArguments, lambda tp: tp.schedule("s", "* * * * *", double, 1, overlap="x")),
    "arguments of a schedule": (InvalidArguments, lambda tp: tp.schedule("s", "* * * * *", double)),
    "no such step": (InvalidArguments, lambda tp: tp.fork("done", "new", before="nothing")),
    "a bad position": (InvalidArguments, lambda tp: tp.events(after=-1)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_refusal_is_the_engine_s_own(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path, name: str
) -> None:
    """The same type with the same text."""
    owner = make_engine(path, workflows=KNOWN, payload_limit=2_000)
    client = make_client()
    owner.execute("done", double, 1).get(timeout=WAIT_S)
    error, call = FAULTS[name]

    with pytest.raises(error) as theirs:
        call(owner)
    with pytest.raises(error) as ours:
        call(client)

    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


@pytest.mark.parametrize("function", ["tests.gateway.workflows:double", "orders.double"])
def test_arguments_that_don_t_fit_are_refused_by_name_too(client: Client, function: Any) -> None:
    """The owner looks, as it has the function."""
    with pytest.raises(InvalidArguments, match="too many positional arguments"):
        client.execute("a", function, 1, 2)


def test_a_value_of_a_type_that_the_owner_does_not_have_is_refused(client: Client, owner: Tempolite) -> None:
    """At the call, and not by a run that can't go on."""

    class Local(Exception):
        pass

    client.codec.register(Local)

    with pytest.raises(InvalidArguments, match="the owner of the file can't read this"):
        client.execute("a", echo, Local())

    assert owner.count() == 0


def test_too_many_unread_signals_are_refused(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path
) -> None:
    """The bound is the owner's."""
    make_engine(path, workflows=KNOWN, signal_limit=2)
    client = make_client()
    client.execute("a", listening)

    client.signal("a", "other", 1)
    client.signal("a", "other", 2)
    with pytest.raises(Busy):
        client.signal("a", "other", 3)


def test_every_call_can_be_awaited(client: Client, owner: Tempolite) -> None:
    """One of each kind; the others are made in the same way."""

    async def everything() -> None:
        info = await client.aexecute("a", listening)
        await info.asignal("go", 1)
        assert await info == [1]
        assert await info.aget(timeout=0) == [1]
        assert [each.id for each in await client.aworkflows()] == ["a"]
        assert await client.acount() == 1
        assert (await client.ahistory("a"))[0].type == "RunCreated"
        schedule = await client.aschedule("s", "0 3 * * *", double, 1)
        assert await (await schedule.atrigger()) == 2
        await client.await_idle(timeout=WAIT_S)
        with pytest.raises(WorkflowNotFound):
            await client.aget("nobody")
        assert len([event async for event in client.aevents()]) == len(list(owner.events()))

    asyncio.run(everything())


def test_a_client_is_made_and_closed_in_a_loop(owner: Tempolite, path: Path) -> None:
    """As an async context manager."""

    async def visit() -> int:
        async with await Tempolite.aconnect(path) as client:
            return await client.acount()

    assert asyncio.run(visit()) == 0


def test_waiting_for_rest_is_waiting_for_the_owner_s_runs(client: Client) -> None:
    """It returns where all rest, also with no time at all, and says so where they don't."""
    client.execute("a", listening)
    client.wait(timeout=0)
    client.wait()
    client.execute("b", sleeping)

    with pytest.raises(TimeoutError, match="runs still go on after 0 s"):
        client.wait(timeout=0)
