"""Actors: what a handler raises stays here, and nobody who asks is left waiting."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pykka
import pytest

from tempolite.actors.actor import Actor, receives, tell_if_alive
from tempolite.actors.futures import Reply
from tempolite.actors.seeded_dispatcher import SeededDispatcher
from tests.actors.probes import DEADLINE_S, Do, Probe, Raise, Say, thread_dispatcher

FATAL = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd one")]
ERRORS = [ValueError("no"), *FATAL]


def launched(
    *, on_actor_failure: Callable[[Actor, BaseException], None] | None = None
) -> tuple[Probe, SeededDispatcher]:
    dispatcher = SeededDispatcher(seed=1)
    probe = Probe(on_actor_failure=on_actor_failure)
    probe.launch(dispatcher)
    return probe, dispatcher


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_question_is_answered_with_what_the_handler_returns() -> None:
    """None is an answer as well."""
    probe, dispatcher = launched()

    asked = [probe.actor_ref.ask(Say(value), block=False) for value in (1, None, "x")]
    dispatcher.run_until_idle()

    assert [reply.get(timeout=0) for reply in asked] == [1, None, "x"]


def test_mail_from_before_the_launch_is_read() -> None:
    """A reference can be given away before its actor runs."""
    probe = Probe()
    for value in range(3):
        probe.actor_ref.tell(Say(value))
    dispatcher = SeededDispatcher(seed=1)

    probe.launch(dispatcher)
    dispatcher.run_until_idle()

    assert probe.said == [0, 1, 2]


def test_a_message_without_a_handler_is_an_error_of_its_sender() -> None:
    """The asker is told which message it was."""
    probe, dispatcher = launched()

    asked = probe.actor_ref.ask({"what": "this"}, block=False)
    dispatcher.run_until_idle()

    with pytest.raises(TypeError, match="Probe does not understand dict"):
        asked.get(timeout=0)


def test_handlers_are_inherited_and_can_be_replaced() -> None:
    """A subclass has its parent's handlers, but where it marks its own; the parent is unchanged."""

    class Loud(Probe):
        @receives(Say)
        def on_say_loudly(self, message: Say) -> Any:
            """Shouts."""
            return str(message.value).upper()

    dispatcher = SeededDispatcher(seed=1)
    loud, probe = Loud(), Probe()
    for actor in (loud, probe):
        actor.launch(dispatcher)

    asked = [
        ref.ask(message, block=False)
        for ref in (loud.actor_ref, probe.actor_ref)
        for message in (Say("hi"), Do(lambda: "done"))
    ]
    dispatcher.run_until_idle()

    assert [reply.get(timeout=0) for reply in asked] == ["HI", "done", "hi", "done"]


def test_a_proxy_works_as_with_any_pykka_actor() -> None:
    """Attributes and methods, for those who like them."""
    with thread_dispatcher() as dispatcher:
        probe = Probe()
        proxy = probe.launch(dispatcher).proxy()
        probe.actor_ref.ask(Say("x"), timeout=DEADLINE_S)

        assert proxy.said.get(timeout=DEADLINE_S) == ["x"]
        assert proxy.on_say(Say("y")).get(timeout=DEADLINE_S) == "y"


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_whatever_a_handler_raises_reaches_the_asker_and_nobody_else(error: BaseException) -> None:
    """The actor lives on, and so does who runs it."""
    probe, dispatcher = launched(on_actor_failure=lambda actor, error: None)

    asked = probe.actor_ref.ask(Raise(error), block=False)
    after = probe.actor_ref.ask(Say("alive"), block=False)
    dispatcher.run_until_idle()

    with pytest.raises(type(error)) as raised:
        asked.get(timeout=0)
    assert raised.value is error
    assert after.get(timeout=0) == "alive"


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_failure_under_tell_is_reported_upwards(error: BaseException) -> None:
    """With the actor and the error; the actor is not stopped behind anybody's back."""
    reported: list[tuple[Actor, BaseException]] = []
    probe, dispatcher = launched(on_actor_failure=lambda actor, error: reported.append((actor, error)))

    probe.actor_ref.tell(Raise(error))
    probe.actor_ref.tell(Say("after"))
    dispatcher.run_until_idle()

    assert reported == [(probe, error)]
    assert probe.said == ["after"]
    assert probe.actor_ref.is_alive()


def test_an_error_that_was_answered_is_no_failure() -> None:
    """The asker has it; nobody else needs to know."""
    reported: list[BaseException] = []
    probe, dispatcher = launched(on_actor_failure=lambda actor, error: reported.append(error))

    probe.actor_ref.ask(Raise(ValueError("no")), block=False)
    dispatcher.run_until_idle()

    assert reported == []


@pytest.mark.parametrize("error", FATAL, ids=repr)
def test_what_is_no_exception_is_reported_although_it_was_answered(error: BaseException) -> None:
    """No handler of ours raises these on purpose."""
    reported: list[BaseException] = []
    probe, dispatcher = launched(on_actor_failure=lambda actor, error: reported.append(error))

    probe.actor_ref.ask(Raise(error), block=False)
    dispatcher.run_until_idle()

    assert reported == [error]


def test_a_failure_that_nobody_asked_to_hear_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback."""
    probe, dispatcher = launched()

    with caplog.at_level(logging.ERROR, "tempolite"):
        probe.actor_ref.tell(Raise(ValueError("no")))
        dispatcher.run_until_idle()

    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_report_that_fails_does_not_stop_the_dispatcher() -> None:
    """Who is told of a failure may fail too; other actors go on."""

    def fail(_actor: Actor, _error: BaseException) -> None:
        raise RuntimeError("the supervisor fails as well")

    with thread_dispatcher() as dispatcher:
        broken, healthy = Probe(on_actor_failure=fail), Probe()
        for actor in (broken, healthy):
            actor.launch(dispatcher)
        broken.actor_ref.tell(Raise(ValueError("no")))

        assert healthy.actor_ref.ask(Say("still here"), timeout=1.0) == "still here"


def test_an_asker_whose_callback_fails_does_not_stop_the_dispatcher() -> None:
    """What runs when a reply is given is not the actor's."""

    def fail() -> None:
        raise RuntimeError("a bad listener")

    with thread_dispatcher() as dispatcher:
        gate = threading.Event()
        ref = Probe().launch(dispatcher)
        ref.tell(Do(partial(gate.wait, DEADLINE_S)))
        asked = cast("Reply[Any]", ref.ask(Say("heard"), block=False))
        asked.add_callback(fail)
        gate.set()

        assert ref.ask(Say("still here"), timeout=1.0) == "still here"
        assert asked.get(timeout=DEADLINE_S) == "heard"


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────


def test_mail_before_a_stop_is_read_and_mail_after_it_is_refused() -> None:
    """In order, as with Pykka; who asked is told."""
    probe, dispatcher = launched()

    before = probe.actor_ref.ask(Say("before"), block=False)
    stopped = probe.actor_ref.stop(block=False)
    after = probe.actor_ref.ask(Say("after"), block=False)
    dispatcher.run_until_idle()

    assert before.get(timeout=0) == "before"
    assert stopped.get(timeout=0) is True
    with pytest.raises(pykka.ActorDeadError):
        after.get(timeout=0)
    assert probe.said == ["before"]


def test_a_stopped_actor_answers_every_ask_with_its_death() -> None:
    """At once, not after a deadline; a tell is refused where it is made."""
    probe, _dispatcher = launched()
    probe.stop_now()

    with pytest.raises(pykka.ActorDeadError):
        probe.actor_ref.ask(Say(), timeout=0)
    with pytest.raises(pykka.ActorDeadError):
        probe.actor_ref.tell(Say())
    assert not probe.actor_ref.is_alive()


def test_a_question_that_nobody_waits_for_at_once_is_answered_alike() -> None:
    """``ask_nowait``: with the value, with the error of the handler, or with the actor's death."""
    probe, dispatcher = launched()

    answered = probe.actor_ref.ask_nowait(Say("a"))
    dispatcher.run_until_idle()
    probe.stop_now()
    refused = probe.actor_ref.ask_nowait(Say("b"))

    assert answered.get(timeout=0) == "a"
    with pytest.raises(pykka.ActorDeadError):
        refused.get(timeout=0)


def test_what_means_nothing_to_the_stopped_is_dropped() -> None:
    """``tell_if_alive``: the living read it, for the others it is no error."""
    probe, dispatcher = launched()

    tell_if_alive(probe.actor_ref, Say("heard"))
    dispatcher.run_until_idle()
    probe.stop_now()
    tell_if_alive(probe.actor_ref, Say("dropped"))

    assert probe.said == ["heard"]
    assert probe.actor_inbox.empty()


def test_a_message_after_a_question_is_answered_to_nobody() -> None:
    """``reply_to`` is that of the question under way, and of no other message."""
    probe, dispatcher = launched()
    seen: list[Any] = []

    probe.actor_ref.ask_nowait(Say("a"))
    probe.actor_ref.tell(Do(lambda: seen.append(probe.reply_to)))
    dispatcher.run_until_idle()

    assert seen == [None]


def test_an_actor_that_was_never_launched_can_be_stopped() -> None:
    """Its mail is refused like that of any other."""
    probe = Probe()
    asked = probe.actor_ref.ask(Say(), block=False)

    probe.stop_now()

    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=0)


def test_stopping_runs_the_hook_once_for_each_stop() -> None:
    """A stop that comes by mail runs ``on_stop`` in the actor's own turn."""
    probe, dispatcher = launched()

    probe.actor_ref.stop(block=False)
    probe.actor_ref.stop(block=False)
    dispatcher.run_until_idle()

    assert probe.stops == 1


def test_a_failing_stop_hook_is_contained() -> None:
    """The actor is stopped all the same, and the caller is not disturbed."""

    class Clumsy(Probe):
        def on_stop(self) -> None:
            raise SystemExit("while stopping")

    clumsy = Clumsy()
    clumsy.launch(SeededDispatcher(seed=1))

    clumsy.stop_now()

    assert not clumsy.actor_ref.is_alive()


def test_a_stopped_actor_can_be_collected() -> None:
    """Neither its inbox nor its reference keep it: runs come and go by the million."""
    probe, dispatcher = launched()
    ref, seen = probe.actor_ref, weakref.ref(probe)
    probe.stop_now()
    dispatcher.run_until_idle()

    del probe

    assert seen() is None
    assert not ref.is_alive()


# ── Pykka's registry ────────────────────────────────────────────────────────────────────────────────────


def test_no_actor_of_ours_is_in_the_registry() -> None:
    """Neither while it runs nor after it failed or stopped."""
    before = pykka.ActorRegistry.get_all()
    probe, dispatcher = launched(on_actor_failure=lambda actor, error: None)

    probe.actor_ref.tell(Raise(SystemExit(1)))
    dispatcher.run_until_idle()

    assert pykka.ActorRegistry.get_all() == before
    assert pykka.ActorRegistry.get_by_urn(probe.actor_urn) is None


class HostActor(pykka.ThreadingActor):
    """An actor of the application that the engine is a guest in."""

    def on_receive(self, message: Any) -> Any:
        """Gives it back."""
        return message


def test_a_host_that_stops_all_its_actors_leaves_ours_alone() -> None:
    """``stop_all`` ends what is registered; we are not."""
    with thread_dispatcher() as dispatcher:
        ours = Probe().launch(dispatcher)
        host = HostActor.start()

        pykka.ActorRegistry.stop_all(timeout=DEADLINE_S)

        assert not host.is_alive()
        assert ours.ask(Say("here"), timeout=DEADLINE_S) == "here"


@pytest.mark.parametrize("error", FATAL, ids=repr)
def test_a_fatal_error_of_ours_leaves_the_host_s_actors_alone(error: BaseException) -> None:
    """Pykka would stop every actor of the process; here it is contained."""
    with thread_dispatcher() as dispatcher:
        ours = Probe(on_actor_failure=lambda actor, error: None).launch(dispatcher)
        host = HostActor.start()
        try:
            ours.tell(Raise(error))
            ours.ask(Say(), timeout=DEADLINE_S)

            assert host.ask("ping", timeout=DEADLINE_S) == "ping"
        finally:
            host.stop(timeout=DEADLINE_S)
