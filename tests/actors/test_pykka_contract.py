"""What ``actors/actor.py`` relies on in Pykka beyond its public interface.

These names are private: an upgrade of Pykka that changes one of them fails here, with a name, before it
fails somewhere in the engine.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pykka
import pytest
from pykka import messages
from pykka._envelope import Envelope

from tempolite.actors.actor import Actor, Ref
from tempolite.actors.futures import Reply
from tempolite.actors.seeded_dispatcher import SeededDispatcher

OVERRIDDEN = ("_create_actor_inbox", "_create_future", "_start_actor_loop", "_stop")
CALLED = ("_handle_receive",)


class RecordingInbox:
    """An inbox that a Pykka actor can be made with."""

    def put(self, _envelope: Envelope[Any], /) -> None:
        """Takes nothing."""

    def get(self) -> Envelope[Any]:
        """Has nothing."""
        raise IndexError

    def empty(self) -> bool:
        """Always."""
        return True


class BareActor(pykka.Actor):
    """A Pykka actor with the three hooks and nothing else."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        return RecordingInbox()

    @staticmethod
    def _create_future() -> Any:
        return Reply()

    def _start_actor_loop(self) -> None:
        pass


def test_this_is_the_minor_version_that_was_looked_at() -> None:
    """``pykka~=4.5.0``: the patch may change, names that are private may not."""
    assert version("pykka").split(".")[:2] == ["4", "5"]


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_we_override_is_there_to_be_overridden(name: str) -> None:
    """Else our method would be an idle one."""
    theirs, ours = inspect.getattr_static(pykka.Actor, name), inspect.getattr_static(Actor, name)

    assert type(ours) is type(theirs), f"{name} is static for one and not for the other"
    assert (
        inspect.signature(getattr(Actor, name)).parameters
        == inspect.signature(getattr(pykka.Actor, name)).parameters
    )


@pytest.mark.parametrize("name", ["_create_actor_inbox", "_create_future", "_start_actor_loop"])
def test_the_three_hooks_are_what_pykka_asks_for(name: str) -> None:
    """They are abstract, and there is no fourth one."""
    assert name in pykka.Actor.__abstractmethods__
    assert len(pykka.Actor.__abstractmethods__) == 3


@pytest.mark.parametrize("name", CALLED)
def test_what_we_call_takes_a_message(name: str) -> None:
    """One message in, its answer out."""
    assert list(inspect.signature(getattr(pykka.Actor, name)).parameters) == ["self", "message"]


def test_an_actor_is_made_of_exactly_four_attributes() -> None:
    """Our ``__init__`` sets them in place of Pykka's; a fifth one would be missing in ours."""
    theirs, ours = set(vars(BareActor())), set(vars(Actor()))

    assert theirs == {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}
    assert theirs <= ours


def test_a_reference_copies_what_it_needs_when_it_is_made() -> None:
    """From these attributes, so they must be set before."""
    actor = BareActor()

    ref = pykka.ActorRef(actor)

    assert set(vars(ref)) == {"_actor_weakref", "actor_class", "actor_urn", "actor_inbox", "actor_stopped"}
    assert ref.actor_inbox is actor.actor_inbox
    assert ref.actor_stopped is actor.actor_stopped


def test_of_its_event_an_actor_is_only_asked_two_things() -> None:
    """``is_set`` and ``set``: what our flag has."""
    ref = Actor().actor_ref

    assert isinstance(ref, Ref)
    assert ref.is_alive()
    ref.actor_stopped.set()
    assert not ref.is_alive()


def test_an_envelope_is_a_message_and_where_to_reply() -> None:
    """Made with one or two arguments; two slots."""
    reply: Reply[Any] = Reply()

    told, asked = Envelope("m"), Envelope("m", reply_to=reply)

    assert (told.message, told.reply_to) == ("m", None)
    assert (asked.message, asked.reply_to) == ("m", reply)
    assert set(Envelope.__slots__) == {"message", "reply_to"}


def test_an_ask_makes_its_future_by_the_actor_s_hook() -> None:
    """And puts it into the envelope, with the message as it is."""
    actor = Actor()

    reply = actor.actor_ref.ask("question", block=False)

    envelope = actor.actor_inbox.get()
    assert type(reply) is Reply
    assert (envelope.message, envelope.reply_to) == ("question", reply)


def test_an_ask_of_the_dead_fails_its_future_without_an_argument() -> None:
    """``set_exception()`` takes the current exception; ours must do so too."""
    actor = Actor()
    actor.stop_now()

    reply = actor.actor_ref.ask("question", block=False)

    assert isinstance(reply, Reply)
    assert reply.is_set


def test_a_stop_is_a_message_that_handle_receive_obeys() -> None:
    """``ref.stop()`` posts it, ``_handle_receive`` calls ``_stop``, which is ours."""
    actor = Actor()
    actor.launch(SeededDispatcher(seed=1))
    actor.actor_ref.stop(block=False)

    envelope = actor.actor_inbox.mail[0]
    actor.handle_next()

    assert type(envelope.message) is messages._ActorStop
    assert not actor.actor_ref.is_alive()


def test_proxies_speak_in_three_messages() -> None:
    """``_handle_receive`` knows them; a fourth would end up in ``on_receive``."""
    public = {name for name in dir(messages) if name.startswith("Proxy")}

    assert public == {"ProxyCall", "ProxyGetAttr", "ProxySetAttr"}


def test_a_future_s_hook_is_kept_where_we_look_for_it() -> None:
    """``_get_hook`` decides in ``__await__`` whether there is an outcome to wait for."""
    reply: Reply[Any] = Reply()

    hooks = [reply._get_hook]
    reply.set_get_hook(lambda _timeout: "hooked")
    hooks.append(reply._get_hook)

    assert [hook is None for hook in hooks] == [True, False]
    assert reply.get() == "hooked"


def test_a_future_is_made_of_exactly_two_attributes() -> None:
    """Our ``__init__`` sets them in place of Pykka's; a third one would be missing in ours."""
    theirs, ours = vars(pykka.Future()), vars(Reply())

    assert set(theirs) == {"_get_hook", "_get_hook_result"}
    assert set(theirs) <= set(ours)
    assert (theirs["_get_hook"], type(theirs["_get_hook_result"])) == (None, type(ours["_get_hook_result"]))


def test_a_future_without_a_hook_says_so_in_get() -> None:
    """With NotImplementedError, which our ``get`` builds on."""
    with pytest.raises(NotImplementedError):
        pykka.Future().get(timeout=0)
