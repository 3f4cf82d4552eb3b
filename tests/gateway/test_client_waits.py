"""Waiting through a client: pushed by the owner, thousands at once, and never in an event loop's way."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tempolite import Client, EngineClosed, PayloadTooLarge, Tempolite
from tests.engine.waiting import wait_until
from tests.gateway.conftest import ClientMaker
from tests.gateway.workflows import double, listening

WAIT_S = 20
TICKS = 30


def open_questions(owner: Tempolite) -> int:
    """What the owner's clients wait for."""
    gateway = owner._system.gateway
    assert gateway is not None
    return sum(len(visitor.questions) for visitor in gateway._visitors)


def test_an_outcome_that_comes_later_is_pushed(client: Client, owner: Tempolite) -> None:
    """Who waits is told when the run ends."""
    info = client.execute("a", listening)
    outcomes: list[object] = []
    waiter = threading.Thread(target=lambda: outcomes.append(info.get(timeout=WAIT_S)))
    waiter.start()
    wait_until(lambda: open_questions(owner) == 1)

    owner.signal("a", "go", 7)
    waiter.join(WAIT_S)

    assert outcomes == [[7]]


def test_a_thousand_waits_go_over_one_connection(client: Client, owner: Tempolite) -> None:
    """All at once, each with its own answer."""

    async def wait_for_all() -> list[int]:
        infos = [await client.aexecute(f"r{number}", listening) for number in range(20)]
        waits = [asyncio.ensure_future(infos[number % 20].aget()) for number in range(1_000)]
        await asyncio.sleep(0)
        await asyncio.to_thread(wait_until, lambda: open_questions(owner) == 1_000)
        for number, info in enumerate(infos):
            await info.asignal("go", number)
        return [outcome[0] for outcome in await asyncio.gather(*waits)]

    assert asyncio.run(wait_for_all()) == [number % 20 for number in range(1_000)]
    assert len(owner._system.gateway._visitors) == 1  # type: ignore[union-attr]


def test_a_wait_that_takes_too_long_is_given_up_on_both_sides(client: Client, owner: Tempolite) -> None:
    """``TimeoutError``; the run is untouched, and the owner keeps no trace of who waited."""
    info = client.execute("a", listening)

    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError, match=f"workflow 'a' has no outcome after {timeout} s"):
            info.get(timeout=timeout)

    wait_until(lambda: open_questions(owner) == 0)
    assert not owner._system.directory._waiters._of_outcomes
    assert info.status == "WAITING"


def test_an_outcome_that_is_there_needs_no_patience(client: Client, owner: Tempolite) -> None:
    """``get(timeout=0)`` gives it, as the engine's does."""
    owner.execute("a", double, 4).get(timeout=WAIT_S)

    assert client.get("a").get(timeout=0) == 8


def test_an_await_that_is_cancelled_is_given_up_on_both_sides(client: Client, owner: Tempolite) -> None:
    """The owner keeps no trace of it, and the client goes on."""

    async def give_up() -> int:
        info = await client.aexecute("a", listening)
        waiting = asyncio.ensure_future(info.aget())
        await asyncio.to_thread(wait_until, lambda: open_questions(owner) == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: open_questions(owner) == 0)
        return await client.acount()

    assert asyncio.run(give_up()) == 1


def test_many_threads_share_a_client(client: Client) -> None:
    """Each gets its own answers."""
    found: dict[int, int] = {}

    def work(number: int) -> None:
        for each in range(10):
            found[number * 10 + each] = client.execute(None, double, number * 10 + each).get(timeout=WAIT_S)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert found == {number: number * 2 for number in range(80)}


def test_two_clients_see_the_same(client: Client, make_client: ClientMaker) -> None:
    """What one does, the other sees; when one leaves, the other goes on."""
    other = make_client()
    info = client.execute("a", listening)

    other.signal("a", "go", 1)
    other.close()

    assert info.get(timeout=WAIT_S) == [1]


def test_no_awaited_call_blocks_the_loop(client: Client, owner: Tempolite) -> None:
    """While the owner answers nobody, the loop goes round; then every call has its answer."""
    held, going_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        going_on.wait(WAIT_S)

    holder = threading.Thread(target=lambda: owner._system._perform(hold))

    async def both() -> None:
        await client.aexecute("a", listening)
        holder.start()
        await asyncio.to_thread(held.wait)
        calls = [
            *(client.aexecute("b", double, 1), client.asignal("a", "go", 1), client.aquery("a", "got")),
            *(client.acount(), client.aget("a"), client.ahistory("a"), client.aschedules()),
        ]
        waiting = [asyncio.ensure_future(call) for call in calls]
        for _ in range(TICKS):
            await asyncio.sleep(0)
        going_on.set()
        await asyncio.wait_for(asyncio.gather(*waiting), WAIT_S)

    asyncio.run(both())
    holder.join(WAIT_S)


def test_the_log_is_followed_without_polling(client: Client, owner: Tempolite) -> None:
    """New events come as they are committed; while there are none, nothing is asked."""
    seen: list[str] = []

    def follow() -> None:
        seen.extend(event.type for event in client.events(follow=True))

    follower = threading.Thread(target=follow)
    follower.start()
    wait_until(lambda: open_questions(owner) == 1)

    owner.execute("a", double, 1).get(timeout=WAIT_S)

    wait_until(lambda: "RunCompleted" in seen)
    client.close()
    follower.join(WAIT_S)
    assert seen == ["RunCreated", "RunCompleted"]


def test_closing_a_client_ends_its_waits(client: Client, owner: Tempolite) -> None:
    """``EngineClosed``, for those that wait and those that come later; the run goes on without it."""
    info = client.execute("a", listening)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            info.get()
        except EngineClosed as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(lambda: open_questions(owner) == 1)

    client.close()
    client.close()
    waiter.join(WAIT_S)

    assert [str(error) for error in errors] == ["this client was closed"]
    with pytest.raises(EngineClosed):
        client.count()
    assert owner.get("a").status == "WAITING"
    wait_until(lambda: open_questions(owner) == 0)


@pytest.mark.parametrize("length", [100_000, 15 * 2**20])
def test_a_payload_may_be_as_large_as_the_owner_takes(client: Client, length: int) -> None:
    """There and back, as text and as a signal's value."""
    info = client.execute("a", listening)
    info.signal("go", "x" * length)

    assert [len(each) for each in info.get(timeout=WAIT_S)] == [length]


def test_a_call_that_is_too_large_costs_nobody_the_connection(client: Client, owner: Tempolite) -> None:
    """It is refused here; sent, it would be the end of the connection, again and again."""
    gateway = owner._system.gateway
    assert gateway is not None
    assert client.count() == 0
    before = set(gateway._visitors)

    with pytest.raises(PayloadTooLarge, match="the call has"):
        client.count(search="x" * 20 * 2**20)

    assert client.count() == 0
    assert gateway._visitors == before


def close(client: Client, ends: list[bool]) -> None:
    client.close()
    ends.append(True)


def test_a_client_may_be_closed_by_several_threads_at_once(
    owner: Tempolite, make_client: ClientMaker
) -> None:
    """All of them return when it is closed."""
    for _ in range(20):
        client, ends = make_client(), list[bool]()
        closers = [threading.Thread(target=close, args=(client, ends)) for _ in range(3)]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(WAIT_S)

        assert ends == [True] * 3
