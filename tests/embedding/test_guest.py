"""An engine is a guest: what belongs to the host's process is as it was, then and afterwards."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pykka
import pytest

from tempolite import Queue, WorkflowContext
from tests.engine.conftest import EngineMaker
from tests.engine.waiting import wait_until

WAIT_S = 15
EVERY_KIND = [
    Queue("default", workers=1),
    Queue("threads", kind="thread", workers=1),
    Queue("inline", kind="inline"),
]


class Counter(pykka.ThreadingActor):
    """An actor of the host's."""

    def on_receive(self, message: Any) -> Any:
        return message


def working(ctx: WorkflowContext) -> int:
    ctx.logger.info("works")
    return ctx.activity("work", os.getpid).get() + ctx.side_effect("effect", lambda: 0).get()


async def working_async(ctx: Any) -> int:
    return int(await ctx.activity("work", os.getpid))


def process_state() -> dict[str, Any]:
    """What only the host may set, as far as it can be seen."""
    numbers = sorted(signal.valid_signals() - {signal.SIGALRM})
    root = logging.getLogger()
    return {
        "handlers": {number: signal.getsignal(number) for number in numbers},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timers": signal.getitimer(signal.ITIMER_PROF),
        "root logger": (root.level, list(root.handlers), list(root.filters)),
        "our loggers": [_set_up(name) for name in ("tempolite", "tempolite.activity", "tempolite.workflow")],
        "disabled below": root.manager.disable,
        "record factory": logging.getLogRecordFactory(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook),
        "traces": (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()),
        "switch interval": sys.getswitchinterval(),
        "recursion limit": sys.getrecursionlimit(),
        "warnings": list(warnings.filters),
        "time-out of sockets": socket.getdefaulttimeout(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "registered actors": list(pykka.ActorRegistry.get_all()),
        "umask": _umask(),
    }


def _set_up(name: str) -> tuple[int, list[Any], bool]:
    logger = logging.getLogger(name)
    return logger.level, list(logger.handlers), logger.propagate


def _umask() -> int:
    """As the kernel says it: to ask through ``os.umask`` would be to set it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Umask:"))[6:], 8)


def test_what_belongs_to_the_process_is_the_hosts(make_engine: EngineMaker, path: Path) -> None:
    """Handlers, masks, loggers, start methods, hooks, limits: none of it changes, then or afterwards."""
    before = process_state()

    engine = make_engine(path, queues=EVERY_KIND)
    infos = [engine.execute(None, fn) for fn in (working, working_async)]
    assert all(info.get(timeout=WAIT_S) for info in infos)
    meanwhile = process_state()
    engine.close()

    assert meanwhile == before
    assert process_state() == before


def test_actors_of_the_host_and_of_the_engine_know_nothing_of_each_other(make_engine: EngineMaker) -> None:
    """``stop_all`` of the host ends its own; a close of the engine ends ours."""
    mine = Counter.start()
    engine = make_engine()
    assert pykka.ActorRegistry.get_all() == [mine]

    make_engine().close()
    assert mine.ask(1, timeout=WAIT_S) == 1
    pykka.ActorRegistry.stop_all(timeout=WAIT_S)

    assert not mine.is_alive()
    assert engine.execute("a", working).get(timeout=WAIT_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP])
def test_signals_of_the_host_are_its_own_business(make_engine: EngineMaker, number: signal.Signals) -> None:
    """Its handler hears them, its wake-up descriptor too, and the engine goes on."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    heard: list[int] = []
    ours, wakes = socket.socketpair()
    with ours, wakes:
        wakes.setblocking(False)
        before, old_fd = signal.signal(number, lambda got, _frame: heard.append(got)), -1
        try:
            old_fd = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
            os.kill(os.getpid(), number)
            wait_until(lambda: bool(heard))
            assert engine.execute("a", working).get(timeout=WAIT_S) != os.getpid()
            assert signal.set_wakeup_fd(old_fd) == wakes.fileno()
        finally:
            signal.set_wakeup_fd(old_fd)
            signal.signal(number, before)

        assert number in heard
        assert number in ours.recv(4_096)


def test_a_host_that_waits_for_its_children_gets_its_own(make_engine: EngineMaker) -> None:
    """A worker process is no child whose end the host's own ``waitpid(pid)`` would be given."""
    engine = make_engine(queues=[Queue("default", workers=1)])
    worker = engine.execute("a", working).get(timeout=WAIT_S)
    mine = os.posix_spawn("/bin/true", ["true"], os.environ)

    assert os.waitpid(mine, 0) == (mine, 0)
    assert mine != worker


@pytest.mark.parametrize("order", [1, -1])
def test_two_engines_of_a_process_close_in_any_order(
    make_engine: EngineMaker, tmp_path: Path, order: int
) -> None:
    """Each has threads and worker processes of its own; the other one goes on."""
    engines = [make_engine(tmp_path / f"{n}.db", queues=[Queue("default", workers=1)]) for n in range(2)]
    pids = [engine.execute("a", working).get(timeout=WAIT_S) for engine in engines]
    assert len({os.getpid(), *pids}) == 3

    first, second = engines[::order]
    first.close()

    assert second.execute("b", working).get(timeout=WAIT_S) in pids
