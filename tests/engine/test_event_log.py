"""The log of all events: read from any place, and followed by as many as want to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tempolite import EngineClosed, Event, InvalidArguments, Tempolite, WorkflowContext
from tempolite.engine import following, in_process
from tests.engine.conftest import EngineMaker

JOIN_S = 20.0


def echo(ctx: WorkflowContext, value: Any) -> Any:
    return value


def start_all(engine: Tempolite, *ids: str) -> None:
    for name in ids:
        engine.execute(name, echo, name)
    engine.wait(timeout=20)


class Follower:
    """Follows the log in a thread until it ends.

    Attributes:
        seen: what came.
    """

    def __init__(self, engine: Tempolite, after: int = 0) -> None:
        self.seen: list[Event] = []
        self.error: BaseException | None = None
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(engine.events(after, follow=True),))
        self._thread.start()

    def _follow(self, log: Any) -> None:
        try:
            for event in log:
                with self._came:
                    self.seen.append(event)
                    self._came.notify_all()
        except BaseException as error:
            self.error = error

    def wait_for(self, count: int) -> None:
        """Until so many came."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.seen) >= count, JOIN_S), "the follower saw too little"

    def join(self) -> None:
        """Until it has ended."""
        self._thread.join(JOIN_S)
        assert not self._thread.is_alive(), "the follower did not end"


def test_the_log_has_every_event_in_order(engine: Tempolite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all workflows, oldest first, in pages that neither skip nor repeat; from any place on."""
    monkeypatch.setattr(in_process, "EVENTS_PER_PAGE", 3)
    start_all(engine, *"abcd")

    log = list(engine.events())

    assert [event.seq for event in log] == sorted({event.seq for event in log})
    assert len(log) == sum(len(engine.history(name)) for name in "abcd")
    assert [event for event in log if event.workflow == "c"] == engine.history("c")
    assert list(engine.events(after=log[4].seq)) == log[5:]
    assert list(engine.events(after=log[-1].seq)) == []


def test_a_page_of_the_log_is_no_larger_than_memory_has_room_for(
    engine: Tempolite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the events are; one that is larger than a page comes alone."""
    monkeypatch.setattr(in_process, "PAGE_BYTES_MAX", 1)
    start_all(engine, *"ab")

    page, log = engine.events_page(0), list(engine.events())

    assert page == log[:1]
    assert len(log) == sum(len(engine.history(name)) for name in "ab")


@pytest.mark.parametrize("after", [-1, "1", None, True, 0.5])
def test_a_place_that_is_none_is_refused(engine: Tempolite, after: Any) -> None:
    """At the call, not when the first event is asked for."""
    with pytest.raises(InvalidArguments, match="after"):
        engine.events(after)


def test_a_follower_gets_what_comes(engine: Tempolite) -> None:
    """What was there, and each event once it is committed; it ends when the engine closes."""
    start_all(engine, "a")
    follower = Follower(engine)
    follower.wait_for(2)
    for name in "bcd":
        start_all(engine, name)
    follower.wait_for(8)
    expected = list(engine.events())

    engine.close()
    follower.join()

    assert (follower.seen, follower.error) == (expected, None)


def test_many_follow_from_their_own_places(make_engine: EngineMaker) -> None:
    """More than there are reading connections, while runs go on; each sees everything behind its place."""
    engine = make_engine()
    start_all(engine, "a")
    followers = [Follower(engine, after=place % 3) for place in range(20)]
    start_all(engine, *(f"w{number}" for number in range(100)))
    expected = list(engine.events())
    for place, follower in enumerate(followers):
        follower.wait_for(len(expected) - place % 3)

    engine.close()

    for place, follower in enumerate(followers):
        follower.join()
        assert follower.seen == expected[place % 3 :]


def test_a_follower_that_stands_still_holds_nobody_up(engine: Tempolite) -> None:
    """It takes one event and goes away for a while: runs and other readers go on."""
    start_all(engine, "a")
    slow = engine.events(follow=True)
    first = next(slow)

    start_all(engine, *(f"w{number}" for number in range(50)))

    assert engine.count(status="COMPLETED") == 51
    assert engine.delete() == 51
    assert [first, *(next(slow) for _ in range(2))][-1].type == "WorkflowsDeleted"


def test_a_follower_is_not_woken_for_nothing(engine: Tempolite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing polls: between two commits no statement is executed."""
    start_all(engine, "a")
    reads: list[int] = []
    page = following.Following._page

    def counted(self: Any, position: int, **rest: Any) -> Any:
        reads.append(position)
        return page(self, position, **rest)

    monkeypatch.setattr(following.Following, "_page", counted)
    follower = Follower(engine)
    follower.wait_for(2)

    engine.execute("b", echo, 1).get(timeout=20)
    follower.wait_for(4)
    commits = engine.metrics().commits
    engine.close()
    follower.join()

    assert len(reads) <= 2 * commits + 4


def test_the_log_of_an_engine_that_is_closed_is_refused(make_engine: EngineMaker) -> None:
    """Also in the middle of reading it."""
    engine = make_engine()
    start_all(engine, *(f"w{number}" for number in range(400)))
    log = engine.events()
    next(log)
    engine.close()

    with pytest.raises(EngineClosed):
        list(log)
    with pytest.raises(EngineClosed):
        engine.events()


def test_the_log_can_be_followed_by_coroutines(engine: Tempolite) -> None:
    """``aevents``: the loop stays free, a cancelled follower is gone, others end with the engine."""

    async def follow(seen: list[Event]) -> None:
        async for event in engine.aevents(follow=True):
            seen.append(event)  # noqa: PERF401 - what came before it was cancelled counts

    async def scenario() -> list[list[Event]]:
        seen: list[list[Event]] = [[], [], []]
        followers = [asyncio.create_task(follow(each)) for each in seen]
        await (await engine.aexecute("a", echo, 1))
        await (await engine.aexecute("b", echo, 2))
        while len(seen[0]) < 4:
            await asyncio.sleep(0.01)
        followers[0].cancel()
        await engine.aclose()
        await asyncio.gather(*followers[1:])
        return seen

    seen = asyncio.run(scenario())

    assert [event.workflow for event in seen[0]].count("b") == 2
    assert seen[1] == seen[2] == seen[0]


def test_coroutines_read_the_log_to_its_end(engine: Tempolite) -> None:
    """Without following."""
    start_all(engine, "a", "b")

    async def read() -> list[Event]:
        return [event async for event in engine.aevents(after=1)]

    assert asyncio.run(read()) == list(engine.events(after=1))
