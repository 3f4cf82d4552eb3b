"""Replies: set once, seen by all, whoever waits and however."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest

from tempolite.actors.futures import Reply
from tests.actors.probes import DEADLINE_S, Do, Hold, Probe, Say, in_thread, join, thread_dispatcher

ROUNDS = 300


def ended(value: Any = None, error: BaseException | None = None) -> Reply[Any]:
    reply: Reply[Any] = Reply()
    if error is None:
        reply.set(value)
    else:
        reply.fail(error)
    return reply


# ── get ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [None, 0, "text", (1, 2)])
def test_a_value_that_is_there_is_given_each_time(value: Any) -> None:
    """Asking twice gives the same."""
    reply = ended(value)

    assert reply.is_set
    assert (reply.get(), reply.get(timeout=0)) == (value, value)


def test_an_error_is_raised_each_time() -> None:
    """The same object, in whoever asks."""
    error = KeyError("nobody")
    reply = ended(error=error)

    for _ in range(2):
        with pytest.raises(KeyError) as raised:
            reply.get(timeout=0)
        assert raised.value is error


def test_the_current_exception_is_taken_over_as_pykka_does() -> None:
    """``set_exception()`` without arguments means the one being handled."""
    reply: Reply[Any] = Reply()

    try:
        raise LookupError("gone")
    except LookupError:
        reply.set_exception()

    with pytest.raises(LookupError, match="gone"):
        reply.get(timeout=0)


@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_a_wait_ends_with_a_timeout(timeout: float) -> None:
    """Pykka's own Timeout; the reply can still come."""
    reply: Reply[Any] = Reply()

    with pytest.raises(pykka.Timeout):
        reply.get(timeout=timeout)
    reply.set("late")

    assert reply.get(timeout=0) == "late"


def test_every_waiting_thread_gets_the_value() -> None:
    """However many wait for the same reply."""
    reply: Reply[Any] = Reply()
    got: list[Any] = []
    threads = in_thread(*[lambda: got.append(reply.get(timeout=DEADLINE_S))] * 4)

    reply.set("here")

    join(threads)
    assert got == ["here"] * 4


@pytest.mark.parametrize("again", [lambda reply: reply.set(2), lambda reply: reply.fail(KeyError())])
def test_a_second_outcome_is_refused(again: Callable[[Reply[Any]], None]) -> None:
    """With ``queue.Full``, as with Pykka's futures; the first one stands."""
    reply = ended(1)

    with pytest.raises(queue.Full):
        again(reply)

    assert reply.get(timeout=0) == 1


# ── callbacks ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_callback_runs_at_once_when_the_outcome_is_there() -> None:
    """In the thread that adds it."""
    called: list[threading.Thread] = []

    ended(1).add_callback(lambda: called.append(threading.current_thread()))

    assert called == [threading.current_thread()]


def test_callbacks_run_in_the_order_they_were_added() -> None:
    """In the thread that gives the value."""
    reply: Reply[Any] = Reply()
    called: list[int] = []
    for number in range(5):
        reply.add_callback(partial(called.append, number))

    assert called == []
    reply.set(None)

    assert called == [0, 1, 2, 3, 4]


def test_each_callback_runs_once_however_threads_race() -> None:
    """Four threads add while a fifth sets: nobody is forgotten, nobody is called twice."""
    for _ in range(ROUNDS):
        reply: Reply[Any] = Reply()
        called: list[int] = []
        adders = [partial(reply.add_callback, partial(called.append, number)) for number in range(4)]

        join(in_thread(*adders, partial(reply.set, 1)))

        assert sorted(called) == [0, 1, 2, 3]


class LateDeque(deque[Any]):
    """Lets the outcome come at the worst moment: just before a callback is added."""

    def __init__(self, reply: Reply[Any]) -> None:
        super().__init__()
        self._reply = reply

    def append(self, callback: Any) -> None:
        """As always, but the value comes first."""
        if not self._reply.is_set:
            self._reply.set("just now")
        super().append(callback)


def test_an_outcome_that_comes_while_a_callback_is_added_is_not_missed() -> None:
    """The callback was decided upon without an outcome, and there is one when it is added."""
    reply: Reply[Any] = Reply()
    reply._callbacks = LateDeque(reply)
    called: list[Any] = []

    reply.add_callback(lambda: called.append(reply.get(timeout=0)))

    assert called == ["just now"]


# ── await ───────────────────────────────────────────────────────────────────────────────────────────────


def test_awaiting_does_not_block_the_loop() -> None:
    """The loop goes on while a coroutine waits, and the value comes from another thread."""
    reply: Reply[Any] = Reply()

    async def main() -> tuple[int, Any]:
        waiter = asyncio.ensure_future(awaited(reply))
        rounds = 0
        while rounds < 100:
            await asyncio.sleep(0)
            rounds += 1
        threading.Thread(target=reply.set, args=("here",), daemon=True).start()
        return rounds, await waiter

    assert run(main()) == (100, "here")


def test_awaiting_what_is_there_does_not_wait() -> None:
    """A value and an error alike."""

    async def main() -> Any:
        with pytest.raises(KeyError):
            await ended(error=KeyError("nobody"))
        return await ended(5)

    assert run(main()) == 5


def test_many_coroutines_are_woken_by_replies_of_another_thread() -> None:
    """All of them, each with its own value, whatever the order."""
    replies: list[Reply[Any]] = [Reply() for _ in range(500)]

    async def main() -> list[Any]:
        threads = in_thread(*(partial(set_all, replies[start::4], start) for start in range(4)))
        values = await asyncio.gather(*map(awaited, replies))
        await asyncio.to_thread(join, threads)
        return values

    assert run(main()) == [number % 4 for number in range(500)]


def test_replies_of_a_dispatcher_wake_coroutines() -> None:
    """Also where the wake-up waits for the end of the dispatcher's round."""

    async def main(probe: Probe) -> list[Any]:
        asked = [probe.actor_ref.ask(Say(number), block=False) for number in range(200)]
        return await asyncio.gather(*map(awaited, asked))

    with thread_dispatcher() as dispatcher:
        probe = Probe()
        probe.launch(dispatcher)

        assert run(main(probe)) == list(range(200))


def test_a_loop_is_woken_again_and_again() -> None:
    """One wait after the other, each ended by another thread."""

    async def main() -> list[Any]:
        values = []
        for number in range(100):
            reply: Reply[Any] = Reply()
            waiter = asyncio.ensure_future(awaited(reply))
            await asyncio.sleep(0)
            join(in_thread(partial(reply.set, number)))
            values.append(await waiter)
        return values

    assert run(main()) == list(range(100))


def test_a_coroutine_that_gave_up_is_left_alone() -> None:
    """A reply after its cancellation disturbs nobody, and those woken with it are woken."""
    given_up: Reply[Any] = Reply()
    other: Reply[Any] = Reply()

    async def main() -> Any:
        waiters = [asyncio.ensure_future(awaited(reply)) for reply in (given_up, other)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        given_up.set(1)
        other.set(2)
        return await waiters[1]

    assert run(main()) == 2


def test_a_loop_that_was_closed_disturbs_nobody() -> None:
    """Whoever gives the value afterwards doesn't see that the waiter is gone."""
    reply: Reply[Any] = Reply()

    async def main() -> None:
        waiter = asyncio.ensure_future(awaited(reply))
        await asyncio.sleep(0)
        waiter.cancel()

    run(main())
    reply.set("nobody waits")

    assert reply.get(timeout=0) == "nobody waits"


# ── Pykka's get hook ────────────────────────────────────────────────────────────────────────────────────


def test_stopping_an_actor_waits_through_the_hook_of_pykka() -> None:
    """``stop`` hands out a future that asks another one: True once, False when it was dead already."""
    with thread_dispatcher() as dispatcher:
        ref = Probe().launch(dispatcher)

        assert ref.stop(timeout=DEADLINE_S) is True
        assert ref.stop(timeout=DEADLINE_S) is False


def test_a_stop_can_be_awaited() -> None:
    """The future with a hook works in a coroutine too, once the actor has stopped."""

    async def main(probe: Probe) -> bool:
        stopped = probe.actor_ref.stop(block=False)
        return bool(await stopped)

    with thread_dispatcher() as dispatcher:
        probe = Probe()
        probe.launch(dispatcher)

        assert run(main(probe)) is True


def test_a_stop_that_nobody_hears_ends_with_a_timeout() -> None:
    """The deadline goes through the hook."""
    with thread_dispatcher() as dispatcher:
        gate = threading.Event()
        ref = Probe().launch(dispatcher)
        ref.tell(Do(partial(gate.wait, DEADLINE_S)))

        with pytest.raises(pykka.Timeout):
            ref.stop(timeout=0.01)
        gate.set()


def test_pykka_can_map_and_join_our_replies() -> None:
    """Both are hooks over other futures."""
    first, second = ended([1, 2]), ended([3])

    assert first.map(len).get(timeout=DEADLINE_S) == 2
    assert first.join(second).get(timeout=DEADLINE_S) == [[1, 2], [3]]


def test_an_error_of_a_hook_comes_out_whatever_its_type() -> None:
    """NotImplementedError too, which Pykka's base class raises where there is no hook."""
    reply = ended(1).map(lambda _value: unfinished())

    with pytest.raises(NotImplementedError, match="not yet"):
        reply.get(timeout=0.2)


def test_an_answer_that_comes_later_comes_from_anywhere() -> None:
    """A handler may keep the reply and leave it to another thread."""
    with thread_dispatcher() as dispatcher:
        probe = Probe()
        ref = probe.launch(dispatcher)
        asked = ref.ask(Hold(), block=False)
        ref.ask(Say(), timeout=DEADLINE_S)

        probe.held[0].set("later")

        assert asked.get(timeout=DEADLINE_S) == "later"


async def awaited(reply: Any) -> Any:
    return await reply


def set_all(replies: list[Reply[Any]], value: Any) -> None:
    for reply in replies:
        reply.set(value)


def unfinished() -> None:
    raise NotImplementedError("not yet")


def run(coroutine: Any) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(coroutine, DEADLINE_S)

    return asyncio.run(limited())
