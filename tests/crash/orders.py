"""What the program does for each order: steps that leave lines in the effect log, and workflows of them.

In a module of its own, so that workers import it by name.
"""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
import zlib
from contextlib import suppress
from pathlib import Path

from tempolite import ActivityContext, RetryPolicy, WorkflowContext, activity
from tests.crash.logs import Effect, Kind, append_effect, kind_of_step

PARTS = 3
LIFE_VARIABLE = "TEMPOLITE_CRASH_LIFE"
FOLDER_VARIABLE = "TEMPOLITE_CRASH_FOLDER"
_PAUSE = threading.Event()


def folder() -> Path:
    """Where all files lie; workers have it from their environment."""
    return Path(os.environ[FOLDER_VARIABLE])


def life() -> int:
    """Which start of the program this is; workers have it from their environment."""
    return int(os.environ[LIFE_VARIABLE])


def trap_in(folder: Path, life: int) -> Path:
    """A file that names a kind of step: the first such one that finds it takes it away, and never ends."""
    return folder / f"trap of life {life}"


def leash_in(folder: Path, life: int) -> Path:
    """A file that says how long the effect log may become: nobody ends a step beyond that."""
    return folder / f"leash of life {life}"


def stay_on_leash() -> None:
    """Waits until the log may become longer; for ever, where the process is killed first."""
    leash, log = leash_in(folder(), life()), folder() / "effects"
    with suppress(FileNotFoundError):
        while log.stat().st_size >= int(leash.read_text()):
            _PAUSE.wait(0.001)


# ── activities ──────────────────────────────────────────────────────────────────────────────────────────


def prepare(ctx: ActivityContext, part: int) -> int:
    """Short enough to be given to workers in advance."""
    with Trace(ctx):
        return part * 10


def look_up(ctx: ActivityContext, part: int) -> int:
    """Long enough to be killed in."""
    with Trace(ctx):
        _PAUSE.wait(0.02)
        return part * 10


def pack(ctx: ActivityContext, token: str) -> str:
    """Long enough to be killed in; works on what the side effect drew."""
    with Trace(ctx, token):
        _PAUSE.wait(0.02)
        return f"packed {token}"


def send(ctx: ActivityContext, what: str) -> str:
    """The second step of the child."""
    with Trace(ctx, what):
        return f"sent {what}"


def call_carrier(ctx: ActivityContext) -> str:
    """Fails in its first attempt, whatever process that runs in."""
    with Trace(ctx):
        _PAUSE.wait(0.004)
        if ctx.attempt == 1:
            raise ConnectionError("the line is busy")
        return f"attempt {ctx.attempt}"


def finish(ctx: ActivityContext, summary: str) -> str:
    """The last effect of a run."""
    with Trace(ctx, summary):
        return summary


class Trace:
    """Leaves a line at the beginning and one at the end, and holds a lock in between.

    The lock ends with its process. If somebody holds it, the same step is under way elsewhere.
    """

    def __init__(self, ctx: ActivityContext, value: str = "") -> None:
        self._ctx, self._value = ctx, value
        self._run, _, child = ctx.workflow_id.partition("/")
        self._step = f"{child}/{ctx.step}" if child else ctx.step

    def __enter__(self) -> None:
        unit = f"{self._ctx.workflow_id} {self._ctx.step}"
        self._fd = os.open(folder() / "under_way", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, zlib.crc32(unit.encode()))
        except BlockingIOError:
            self._leave("overlap")
        self._leave("begin")
        if self._is_trapped():
            _PAUSE.wait()

    def __exit__(self, *_: object) -> None:
        self._leave("end")
        os.close(self._fd)
        stay_on_leash()

    def _is_trapped(self) -> bool:
        trap = trap_in(folder(), life())
        with suppress(FileNotFoundError):
            if trap.read_text() == kind_of_step(self._step):
                trap.rename(trap.with_name(f"sprung {trap.name}"))
                return True
        return False

    def _leave(self, kind: Kind) -> None:
        effect = Effect(
            kind,
            self._run,
            self._step,
            attempt=self._ctx.attempt,
            key=self._ctx.idempotency_key,
            pid=os.getpid(),
            life=life(),
            value=self._value,
        )
        append_effect(folder() / "effects", effect)


# ── workflows ───────────────────────────────────────────────────────────────────────────────────────────


def order(ctx: WorkflowContext, number: int) -> str:
    """Parallel activities, a side effect, a child, a retry, and an end that shows all of it."""
    parts = [ctx.activity(f"part {part}", look_up if part == 0 else prepare, part) for part in range(PARTS)]
    total = sum(part.get() for part in parts)
    token = ctx.side_effect("token", lambda: draw_token(ctx.workflow_id)).get()
    shipped = ctx.workflow("ship", ship, token).get()
    patient = activity(call_carrier, retry=RetryPolicy(max_attempts=2, initial_interval=0.01))
    carrier = ctx.activity("carrier", patient).get()
    return ctx.activity("finish", finish, f"{number}: {total}, {shipped}, {carrier}").get()


def ship(ctx: WorkflowContext, token: str) -> str:
    """The child."""
    packed = ctx.activity("pack", pack, token).get()
    return ctx.activity("send", send, packed).get()


def draw_token(run: str) -> str:
    """A side effect: another value each time it is run."""
    token = uuid.uuid4().hex
    effect = Effect("end", run, "token", attempt=1, key="", pid=os.getpid(), life=life(), value=token)
    append_effect(folder() / "effects", effect)
    return token
