"""A run as an actor: what Pykka promises of a reference holds for ``info.actor_ref``, wherever the run is."""

from __future__ import annotations

import threading
from typing import Any

import pykka
import pytest

from tempolite import (
    Cancel,
    ContinueAsNew,
    EngineCrashed,
    InvalidArguments,
    InvalidState,
    NotStorable,
    Pause,
    Query,
    Queue,
    Resume,
    Signal,
    Tempolite,
    Update,
    WorkflowCancelled,
    WorkflowContext,
)
from tests.engine.conftest import EngineMaker
from tests.engine.gates import Gate, pass_gate
from tests.engine.waiting import wait_for_status, wait_until

Home = dict[str, Any]
ASK_S = 15


def ledger(ctx: WorkflowContext, last: int = 1, opening: int = 0) -> list[Any]:
    """Takes entries until it has ``last`` of them; the balance can be asked for and corrected."""
    entries: list[Any] = []
    balance = [opening]

    def correct(value: int) -> int:
        balance[0] += value
        return balance[0]

    ctx.on_query("balance", lambda add=0: balance[0] + add)
    ctx.on_update("correct", correct)
    while len(entries) < last:
        entries.append(ctx.signal("entry").get())
    return [opening, entries]


def held(ctx: WorkflowContext, gate: str) -> str:
    return ctx.activity("held", pass_gate, gate).get()


def ref_of(engine: Tempolite, *args: Any) -> pykka.ActorRef[Any]:
    """A run that waits for its entries."""
    ref = engine.execute("a", ledger, *args).actor_ref
    engine.wait(timeout=ASK_S)
    return ref


def test_the_reference_is_one_of_pykkas(make_engine: EngineMaker, home: Home) -> None:
    """Its URN is the workflow's id; it is equal to another one of the same run."""
    engine = make_engine(**home)

    ref = ref_of(engine)

    assert isinstance(ref, pykka.ActorRef)
    assert (ref.actor_urn, ref.is_alive()) == ("a", True)
    assert {ref, engine.get("a").actor_ref} == {ref}
    assert ref != engine.execute("b", ledger).actor_ref


def test_each_message_is_answered_when_it_took_effect(make_engine: EngineMaker, home: Home) -> None:
    """What the engine shows after an ``ask`` is what was asked for."""
    engine = make_engine(**home)
    ref = ref_of(engine, 2)

    assert ref.ask(Signal("entry", 1), timeout=ASK_S) is None
    assert ref.ask(Query("balance"), timeout=ASK_S) == 0
    assert ref.ask(Update("correct", (5,)), timeout=ASK_S) == 5
    assert ref.ask(Query("balance", (10,)), timeout=ASK_S) == 15
    ref.ask(Pause(), timeout=ASK_S)
    assert engine.get("a").status == "PAUSED"
    ref.ask(Resume(), timeout=ASK_S)
    assert engine.get("a").status != "PAUSED"
    ref.ask(ContinueAsNew((1, 7)), timeout=ASK_S)
    ref.ask(Signal("entry", "last"), timeout=ASK_S)

    assert engine.get("a").get(timeout=ASK_S) == [7, ["last"]]
    assert engine.get("a").run == 2


def test_each_message_can_be_told(make_engine: EngineMaker, home: Home) -> None:
    """``tell`` comes back at once with nothing, and the message takes effect in its order."""
    engine = make_engine(**home)
    ref = ref_of(engine, 2)

    told = [
        ref.tell(message)  # type: ignore[func-returns-value]
        for message in (Update("correct", (5,)), Query("balance"), Pause(), Resume())
    ]
    ref.tell(ContinueAsNew((3, 7)))
    for entry in "xyz":
        ref.tell(Signal("entry", entry))

    assert engine.get("a").get(timeout=ASK_S) == [7, ["x", "y", "z"]]
    assert told == [None] * 4


def test_a_told_cancel_cancels(make_engine: EngineMaker, home: Home) -> None:
    """And the reference says that the run is over."""
    engine = make_engine(**home)
    ref = ref_of(engine)

    ref.tell(Cancel())

    with pytest.raises(WorkflowCancelled):
        engine.get("a").get(timeout=ASK_S)
    assert not ref.is_alive()


def test_an_ask_that_does_not_block_gives_a_pykka_future(make_engine: EngineMaker, home: Home) -> None:
    """It can be asked twice, joined and mapped."""
    engine = make_engine(**home)
    ref = ref_of(engine)

    one, other = (ref.ask(Update("correct", (5,)), block=False) for _ in range(2))

    assert isinstance(one, pykka.Future)
    assert [one.get(timeout=ASK_S), one.get(timeout=ASK_S)] == [5, 5]
    assert one.join(other).get(timeout=ASK_S) == [5, 10]
    assert ref.ask(Query("balance"), block=False).map(str).get(timeout=ASK_S) == "10"
    with pytest.raises(InvalidState):
        ref.ask(Resume(), block=False).get(timeout=ASK_S)


def test_an_ask_past_its_time_is_a_time_out(make_engine: EngineMaker, home: Home) -> None:
    """Also where no time at all is given; the message takes effect all the same."""
    engine = make_engine(**home)
    ref = ref_of(engine)
    paused = threading.Event()
    going_on = threading.Event()

    def stand_still() -> None:
        paused.set()
        going_on.wait(ASK_S)

    keeper = threading.Thread(target=lambda: engine._system._perform(stand_still))
    keeper.start()
    assert paused.wait(ASK_S)
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError):
            ref.ask(Update("correct", (1,)), timeout=timeout)
    going_on.set()
    keeper.join()

    assert ref.ask(Query("balance"), timeout=ASK_S) == 2


def test_a_reference_outlives_its_runs_life_in_memory(make_engine: EngineMaker, home: Home) -> None:
    """Continued as new, failed and resumed, it is the same reference."""
    engine = make_engine(**home)
    ref = ref_of(engine, 1)

    for opening in range(5):
        ref.ask(ContinueAsNew((1, opening)), timeout=ASK_S)
        assert ref.ask(Query("balance"), timeout=ASK_S) == opening
    ref.ask(Cancel(), timeout=ASK_S)
    wait_for_status(engine, "a", "CANCELLED")
    assert not ref.is_alive()
    ref.ask(Resume(), timeout=ASK_S)
    wait_until(ref.is_alive)
    ref.ask(Signal("entry", "x"), timeout=ASK_S)

    assert engine.get("a").get(timeout=ASK_S) == [4, ["x"]]
    assert not ref.is_alive()


def test_a_reopened_engine_gives_the_same_reference(make_engine: EngineMaker, on_file: Home) -> None:
    """What was answered before the crash is there after it; the old reference belongs to the dead engine."""
    engine = make_engine(**on_file)
    old = ref_of(engine, 2)
    old.ask(Signal("entry", 1), timeout=ASK_S)
    old.ask(Update("correct", (5,)), timeout=ASK_S)
    engine._crash()

    ref = make_engine(**on_file, workflows=[ledger]).get("a").actor_ref

    assert (ref.actor_urn, ref.is_alive()) == ("a", True)
    assert ref.ask(Query("balance"), timeout=ASK_S) == 5
    with pytest.raises(EngineCrashed):
        old.ask(Query("balance"), timeout=ASK_S)
    with pytest.raises(EngineCrashed):
        old.tell(Signal("entry", 2))


def test_many_threads_ask_one_run(make_engine: EngineMaker, home: Home) -> None:
    """Each is answered once with an answer of its own, while the run comes and goes."""
    engine = make_engine(**home)
    ref = ref_of(engine, 81)
    answers: list[int] = []

    def correct(sender: int) -> None:
        for number in range(10):
            ref.tell(Signal("entry", [sender, number]))
            answers.append(ref.ask(Update("correct", (1,)), timeout=ASK_S))

    threads = [threading.Thread(target=correct, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One more than they send: the run is there until the last of them is answered.
    ref.ask(Signal("entry", [8, 0]), timeout=ASK_S)

    entries = engine.get("a").get(timeout=ASK_S)[1]
    assert sorted(answers) == list(range(1, 81))
    for sender in range(8):
        assert [number for who, number in entries if who == sender] == list(range(10))


def test_a_run_is_alive_until_it_is_finished(make_engine: EngineMaker, home: Home, gate: Gate) -> None:
    """Paused, stranded or at work, it is alive."""
    engine = make_engine(**home, queues=[Queue("default", kind="thread", workers=1)])
    ref = engine.execute("h", held, gate.path).actor_ref
    gate.wait_until_reached()

    assert ref.is_alive()
    ref.ask(Pause(), timeout=ASK_S)
    assert ref.is_alive()
    ref.ask(Resume(), timeout=ASK_S)
    gate.release()
    engine.wait(timeout=ASK_S)

    assert not ref.is_alive()


def test_a_run_is_not_stopped_as_other_actors_are(make_engine: EngineMaker, home: Home) -> None:
    """``InvalidState`` that says what to do, however it is asked; nothing becomes of it."""
    engine = make_engine(**home)
    ref = ref_of(engine)

    for options in ({}, {"block": False}, {"timeout": 1}):
        with pytest.raises(InvalidState, match="Cancel"):
            ref.stop(**options)

    assert ref.is_alive()
    ref.ask(Signal("entry", 1), timeout=ASK_S)
    assert engine.get("a").get(timeout=ASK_S) == [0, [1]]


def test_a_host_that_stops_all_actors_harms_no_run(make_engine: EngineMaker, home: Home) -> None:
    """None of the engine's actors is in Pykka's registry, and the engine leaves those of the host alone."""

    class Host(pykka.ThreadingActor):
        """The application's own."""

    before = pykka.ActorRegistry.get_all()
    host = Host.start()
    engine = make_engine(**home)
    ref = ref_of(engine)

    assert [one for one in pykka.ActorRegistry.get_all() if one not in before] == [host]
    pykka.ActorRegistry.stop_all(timeout=ASK_S)
    ref.ask(Signal("entry", 1), timeout=ASK_S)

    assert engine.get("a").get(timeout=ASK_S) == [0, [1]]
    assert engine.execute("later", ledger, 0).get(timeout=ASK_S) == [0, []]


def test_what_is_no_message_to_a_run_is_refused(make_engine: EngineMaker, home: Home) -> None:
    """At the call, by ``tell`` too, with the messages that there are."""
    engine = make_engine(**home)
    ref = ref_of(engine)

    for send in (ref.tell, ref.ask):
        with pytest.raises(InvalidArguments, match="Signal"):
            send({"signal": "entry"})
        with pytest.raises(InvalidArguments):
            send(Signal("", 1))
        with pytest.raises(NotStorable):
            send(Signal("entry", threading.Lock()))
        with pytest.raises(InvalidArguments):
            send(ContinueAsNew((1, 2, 3, 4)))

    assert engine.get("a").run == 1
