"""One engine for a file; foreign, newer and other people's files are left alone."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tempolite import EngineClosed, EngineLocked, NotADatabase, SchemaTooNew, Tempolite, WorkflowContext
from tests.engine.conftest import EngineMaker

HOLDER = """
import sys
from tempolite import Tempolite
with Tempolite(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with an engine on the file."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_clean_end_leaves_the_file_and_nothing_else(make_engine: EngineMaker, path: Path) -> None:
    """What an engine lays beside it goes with it; what a killed one leaves goes with the next."""
    for ends in (Tempolite._crash, Tempolite.close, Tempolite.close):
        engine = make_engine(path)
        assert engine.execute("a", double, 2).get(timeout=10) == 4
        ends(engine)
        assert (os.listdir(path.parent) == [path.name]) == (ends is Tempolite.close)


def test_a_second_engine_on_the_file_is_refused(make_engine: EngineMaker, path: Path) -> None:
    """In the same process too; the error has the holder's pid, and the holder goes on."""
    engine = make_engine(path)

    with pytest.raises(EngineLocked) as caught:
        Tempolite(path).start()

    assert caught.value.pid == os.getpid()
    assert str(os.getpid()) in str(caught.value)
    assert engine.execute("a", double, 2).get(timeout=10) == 4


def test_an_engine_of_another_process_holds_the_file(
    path: Path, holder: subprocess.Popen[str], make_engine: EngineMaker
) -> None:
    """Its pid is told; once it has been killed, the file is free at once."""
    with pytest.raises(EngineLocked) as caught:
        make_engine(path)
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)

    engine = make_engine(path)

    assert caught.value.pid == holder.pid
    assert engine.execute("a", double, 2).get(timeout=10) == 4


@pytest.mark.parametrize("how", ["symlink", "relative"])
def test_another_name_of_the_same_file_does_not_help(
    make_engine: EngineMaker, path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The lock is the file's, not the name's."""
    make_engine(path)
    other = path.with_name("other.db")
    if how == "symlink":
        other.symlink_to(path)
    else:
        monkeypatch.chdir(path.parent)
        other = Path(path.name)

    with pytest.raises(EngineLocked):
        Tempolite(other).start()


def test_a_closed_engine_gives_the_file_back(make_engine: EngineMaker, path: Path) -> None:
    """The next one opens it, and finds what was there."""
    first = make_engine(path)
    first.execute("a", double, 4).get(timeout=10)
    first.close()

    second = make_engine(path)

    assert second.get("a").get(timeout=10) == 8


def test_wait_for_lock_takes_over_when_the_holder_ends(make_engine: EngineMaker, path: Path) -> None:
    """It stands by as long as that takes."""
    first = make_engine(path)
    second = Tempolite(path, wait_for_lock=True)
    started = threading.Event()
    thread = threading.Thread(target=lambda: (second.start(), started.set()))
    thread.start()
    assert not started.wait(0.2)

    first.close()

    assert started.wait(10)
    assert second.execute("a", double, 2).get(timeout=10) == 4
    second.close()
    thread.join(5)


def test_a_standby_takes_over_from_a_process_that_was_killed(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    """No clean end is needed."""
    second = Tempolite(path, wait_for_lock=True)
    thread = threading.Thread(target=second.start)
    thread.start()

    holder.send_signal(signal.SIGKILL)
    thread.join(15)

    assert not thread.is_alive()
    assert second.execute("a", double, 2).get(timeout=10) == 4
    second.close()


def test_a_close_ends_the_stand_by(make_engine: EngineMaker, path: Path) -> None:
    """From another thread: ``start`` raises ``EngineClosed``, and the holder goes on."""
    holder = make_engine(path)
    second, told = Tempolite(path, wait_for_lock=True), list[EngineClosed]()

    def stand_by() -> None:
        try:
            second.start()
        except EngineClosed as error:
            told.append(error)

    thread = threading.Thread(target=stand_by)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()

    second.close()
    thread.join(10)

    assert "stood by" in str(told[0])
    with pytest.raises(EngineClosed):
        second.start()
    assert holder.execute("a", double, 2).get(timeout=10) == 4


def test_a_signal_handler_ends_the_stand_by(make_engine: EngineMaker, path: Path) -> None:
    """One that closes the engine, in the thread that is about to start it."""
    make_engine(path)
    second = Tempolite(path, wait_for_lock=True)
    before = signal.signal(signal.SIGUSR1, lambda *_: second.close())
    threading.Timer(0.1, signal.raise_signal, [signal.SIGUSR1]).start()
    try:
        with pytest.raises(EngineClosed, match="stood by"):
            second.start()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_database_that_is_somebody_elses_is_left_untouched(path: Path) -> None:
    """A text, or a SQLite file of another application: ``NotADatabase``, not a byte changed."""
    path.write_text("notes\n" * 1000)
    foreign = path.with_name("foreign.db")
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE mine(x); INSERT INTO mine VALUES (1)").fetchall()
    connection.close()

    for place in (path, foreign):
        before = place.read_bytes()
        with pytest.raises(NotADatabase):
            Tempolite(place).start()
        assert place.read_bytes() == before


def test_a_newer_schema_is_left_untouched(make_engine: EngineMaker, path: Path) -> None:
    """``SchemaTooNew``, not a byte changed."""
    make_engine(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 99999").fetchall()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(SchemaTooNew):
        Tempolite(path).start()

    assert path.read_bytes() == before


def test_an_empty_file_is_a_fresh_database(make_engine: EngineMaker, path: Path) -> None:
    """As temporary-file helpers leave it."""
    path.touch()

    engine = make_engine(path)

    assert engine.execute("a", double, 2).get(timeout=10) == 4


def test_only_the_owner_may_read_the_files(make_engine: EngineMaker, path: Path) -> None:
    """The database and what lies beside it are 0600, whatever the umask, which is left alone."""
    before = os.umask(0)
    try:
        engine = make_engine(path)
        engine.execute("a", double, 2).get(timeout=10)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.glob("engine.db*")}
    finally:
        umask = os.umask(before)

    assert umask == 0
    assert "engine.db-wal" in modes
    assert set(modes.values()) == {0o600}


def test_a_holder_that_ends_cleanly_lets_its_process_exit(holder: subprocess.Popen[str]) -> None:
    """Nothing of the engine keeps an interpreter from ending."""
    assert holder.stdin is not None
    watch = os.pidfd_open(holder.pid)

    holder.stdin.close()

    assert select.select([watch], [], [], 10)[0]
    os.close(watch)
    assert holder.wait(1) == 0
