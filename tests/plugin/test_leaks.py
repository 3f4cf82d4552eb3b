"""What a test leaves behind fails it, with a name; what others own does not."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Project

HEAD = """
    import os, socket, subprocess, threading
    import pytest

    kept = []

    @pytest.fixture
    def tempolite_settings():
        return {"database": ":memory:"}
"""


def leaving(what: str) -> str:
    """A test that uses an engine and leaves something."""
    return f"{HEAD}\n    def test_a(tempolite_engine):\n        {what}\n"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        (
            "threading.Thread(target=threading.Event().wait, args=(4,), name='poller', daemon=True).start()",
            "*thread 'poller', which runs threading.Event.wait*",
        ),
        ("kept.append(subprocess.Popen(['sleep', '30']))", "*process * sleep 30*"),
        ("kept.append(os.open('/dev/zero', os.O_RDONLY))", "*descriptor *: /dev/zero*"),
        ("kept.append(socket.socket())", "*descriptor *: socket:*"),
    ],
)
def test_what_is_left_fails_the_test_and_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, what: str, named: str
) -> None:
    """By function, command, or what a descriptor leads to; the next test is not blamed for it."""
    monkeypatch.setattr("tempolite.testing.leaks.GRACE_S", 0.01)

    outcome = project(leaving(what) + CLEANER)

    outcome.assert_outcomes(passed=2, errors=1)
    outcome.stdout.fnmatch_lines(["*ERROR at teardown of test_a*", "*the test left behind:*", named])


CLEANER = """
    def test_next(tempolite_engine):
        for each in kept:
            if isinstance(each, int):
                os.close(each)
            elif isinstance(each, socket.socket):
                each.close()
            else:
                each.kill()
                each.wait()
        kept.clear()
"""


@pytest.mark.parametrize("order", ["made, tempolite_engine", "tempolite_engine, made"])
def test_what_other_fixtures_end_is_no_leak(project: Project, order: str) -> None:
    """Whatever the order of the fixtures, and though it was made in the middle of the test."""
    outcome = project(
        f"""{HEAD}
    @pytest.fixture
    def made():
        ends = []

        def make():
            end, pair = threading.Event(), socket.socketpair()
            thread = threading.Thread(target=end.wait)
            thread.start()
            ends.append((end, thread, pair))

        yield make
        for end, thread, pair in ends:
            end.set()
            thread.join()
            pair[0].close()
            pair[1].close()

    def test_a({order}):
        made()
        """
    )

    outcome.assert_outcomes(passed=1)


def test_what_lives_longer_than_the_test_is_no_leak_of_it(project: Project) -> None:
    """A fixture of a wider scope, asked for in the middle; and threads that a pool from before has made."""
    outcome = project(
        f"""{HEAD}
    from concurrent.futures import ThreadPoolExecutor

    @pytest.fixture(scope="module")
    def shared():
        with ThreadPoolExecutor(2) as pool, socket.socket():
            pool.submit(int).result()
            yield pool

    def test_a(tempolite_engine, request):
        request.getfixturevalue("shared")

    def test_b(tempolite_engine, shared):
        both = threading.Barrier(2)
        [each.result() for each in [shared.submit(both.wait, 20) for _ in "ab"]]
        """
    )

    outcome.assert_outcomes(passed=2)


def test_a_loop_of_several_tests_is_no_leak_of_the_first(project: Project) -> None:
    """As pytest-asyncio makes it for a module or a session."""
    outcome = project(
        f"""{HEAD}
    @pytest.mark.asyncio(loop_scope="module")
    async def test_a(tempolite_engine):
        assert await tempolite_engine.acount() == 0
        """,
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        beside="asyncio",
    )

    outcome.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "what",
    [
        "threading.Thread(target=threading.Event().wait, args=(0.3,)).start()",
        "kept.append(subprocess.Popen(['sleep', '0.3']))",
    ],
)
def test_what_is_about_to_end_is_waited_for(project: Project, what: str) -> None:
    """A thread or a process that nobody joins, but that is done in a moment."""
    reaping = "\n    def test_next():\n        [each.wait() for each in kept]\n"

    project(leaving(what) + reaping).assert_outcomes(passed=2)


def test_what_python_keeps_for_itself_is_no_leak(project: Project) -> None:
    """Helpers of multiprocessing, once made, stay until the interpreter ends."""
    outcome = project(
        leaving("from multiprocessing import resource_tracker; resource_tracker.ensure_running()"),
        apart=True,
    )

    outcome.assert_outcomes(passed=1)


def test_a_test_without_an_engine_is_not_looked_at(project: Project) -> None:
    """What it leaves is its own business."""
    outcome = project(
        f"""{HEAD}
    def test_a(tempolite_clock):
        kept.append(os.open("/dev/zero", os.O_RDONLY))

    def test_b():
        os.close(kept.pop())
        """
    )

    outcome.assert_outcomes(passed=2)
