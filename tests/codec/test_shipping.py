"""Callables on their way to our own workers: whatever dill can carry, and nothing that lives here only."""

from __future__ import annotations

import functools
import pathlib
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import apsw
import pykka
import pytest

from tempolite.codec import dump_callable, load_callable
from tempolite.errors import InvalidArguments, NotStorable

FACTOR = 3
GLOBAL_LOCK = threading.Lock()


def triple(x: int) -> int:
    return x * FACTOR


class Multiply:
    def __init__(self, by: Any) -> None:
        self.by = by

    def run(self, x: int) -> Any:
        return x * self.by


def closure(held: Any) -> Callable[[int], Any]:
    return lambda x: (x, held)


class Selfish:
    """Says itself how it is copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def run(self) -> str:
        return "ran"


@pytest.mark.parametrize(
    ("fn", "args", "expected"),
    [
        (triple, (2,), 6),
        (lambda x: x * FACTOR, (2,), 6),
        (closure([1, {"a": 2}]), (1,), (1, [1, {"a": 2}])),
        (Multiply(5).run, (2,), 10),
        (functools.partial(triple, 4), (), 12),
        (Multiply, (3,), None),
        (Selfish().run, (), "ran"),
    ],
    ids=["function", "lambda", "closure", "method", "partial", "class", "with __getstate__"],
)
def test_a_callable_works_after_the_journey(fn: Any, args: tuple[Any, ...], expected: Any) -> None:
    """P9: whatever dill can carry."""
    arrived = load_callable(dump_callable(fn))

    assert expected is None or arrived(*args) == expected


def test_a_function_of_main_works_in_another_process() -> None:
    """With the globals it uses, and without ``__main__`` there being the same."""
    script = (
        "import sys; from tempolite.codec import dump_callable\n"
        "FACTOR = 7\n"
        "def helper(x): return x * FACTOR\n"
        "def fn(x): return helper(x) + 1\n"
        "sys.stdout.buffer.write(dump_callable(fn))"
    )
    data = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout

    assert load_callable(data)(2) == 15


def lambda_with_default() -> Any:
    lock = threading.RLock()
    return lambda x, guard=lock: x


def held_in_a_file() -> Any:
    return tempfile.TemporaryFile()


def actor_ref() -> Any:
    return pykka.ActorRef.__new__(pykka.ActorRef)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: closure(threading.Lock()), r"closure\['held'\] \(Lock\)"),
        (lambda: closure([1, threading.Lock()]), r"closure\['held'\]\[1\] \(Lock\)"),
        (lambda: closure({"a": threading.Lock()}), r"closure\['held'\]\['a'\] \(Lock\)"),
        (lambda: closure(Multiply(threading.Event()).run), r"closure\['held'\]\.__self__\.by \(Event\)"),
        (lambda: closure(threading.Thread()), r"\(Thread\)"),
        (lambda: closure(apsw.Connection(":memory:")), r"\(Connection\)"),
        (lambda: closure(actor_ref()), r"\(ActorRef\)"),
        (lambda: closure(x for x in ()), r"\(generator\)"),
        (lambda_with_default, r"default\['guard'\] \(RLock\)"),
        (lambda: lambda x: GLOBAL_LOCK, r"global\['GLOBAL_LOCK'\] \(Lock\)"),
        (lambda: lambda x: [GLOBAL_LOCK for _ in x], r"global\['GLOBAL_LOCK'\] \(Lock\)"),
        (lambda: Multiply(threading.Lock()).run, r"__self__\.by \(Lock\)"),
        (lambda: Multiply(threading.Lock()), r"by \(Lock\)"),
        (lambda: functools.partial(triple, threading.Lock()), r"args\[0\] \(Lock\)"),
        (lambda: functools.partial(triple, x=threading.Lock()), r"keywords\['x'\] \(Lock\)"),
    ],
)
def test_what_lives_in_this_process_only_is_refused_with_its_path(make: Callable[[], Any], path: str) -> None:
    """dill would copy most of these without a word, and the copies would be dead."""
    with pytest.raises(NotStorable, match=path):
        dump_callable(make())


def test_open_files_and_sockets_are_refused() -> None:
    """A copy would be another file, or none."""
    with socket.socket() as held, tempfile.TemporaryFile() as file:
        with pytest.raises(NotStorable, match=r"\(socket\)"):
            dump_callable(closure(held))
        with pytest.raises(NotStorable, match=r"\(BufferedRandom\)"):
            dump_callable(closure(file))


def test_what_dill_can_not_carry_is_refused_with_its_reason() -> None:
    """An error of the call, not of dill."""

    class Stubborn:
        def __reduce__(self) -> Any:
            raise ValueError("not me")

    with pytest.raises(InvalidArguments, match="ValueError: not me"):
        dump_callable(closure(Stubborn()))


def test_the_application_s_pickle_is_left_alone() -> None:
    """dill's import changes pickle for the whole process: that is taken back."""
    code = (
        "import pickle; before = dict(pickle._Pickler.dispatch)\n"
        "from tempolite.codec import dump_callable, load_callable\n"
        "print(load_callable(dump_callable(lambda: 5))(), dict(pickle._Pickler.dispatch) == before)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["5", "True"]
    assert pickle.loads(pickle.dumps([1])) == [1]  # noqa: S301


MAIN = """
import dataclasses, enum, sys, typing
import msgspec
from tempolite.codec import JsonCodec, dump_callable

T = typing.TypeVar("T")

class Colour(enum.Enum):
    RED = ("r", 1)
    ROUGE = ("r", 1)

    def __init__(self, letter, number):
        self.letter = letter

    def again(self):
        return Colour.RED

class Access(enum.IntFlag):
    READ = 1
    WRITE = 2

class Unit(enum.StrEnum):
    KILO = "kg"

class Point(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="p"):
    far_out: int
    items: list[int] = []

    def moved(self):
        return Point(far_out=self.far_out + 1)

class Checked(msgspec.Struct):
    x: int

    def __post_init__(self):
        self.x += 1

@dataclasses.dataclass
class Order:
    number: int
    colour: Colour = Colour.RED

    def next(self):
        return Order(self.number + 1, self.colour.again())

@dataclasses.dataclass(frozen=True, slots=True)
class Box(typing.Generic[T]):
    content: T

class Pair(typing.NamedTuple):
    left: int
    right: int = 2

def helper(order):
    return order.next()

def fn(order, point, checked, box, pair, flags, unit, colour):
    assert type(order) is Order and type(point) is Point and type(checked) is Checked and type(box) is Box
    assert type(pair) is Pair and flags == Access.READ | Access.WRITE and type(unit) is Unit
    assert colour is Colour.RED and colour.letter == "r" and Checked(1).x == 2
    return helper(order), point.moved(), checked, Box(box), pair, flags, unit, colour

args = (Order(1), Point(far_out=1), Checked(5), Box(1), Pair(1), Access(3), Unit.KILO, Colour.ROUGE)
"""
SEND = """
sys.stdout.buffer.write(msgspec.msgpack.encode((dump_callable(fn), JsonCodec().encode_call(args, {}))))
"""
WORK = """
import sys, msgspec
from tempolite.codec import JsonCodec, load_callable

code, payload = msgspec.msgpack.decode(sys.stdin.buffer.read())
fn = load_callable(code)
codec = JsonCodec()
codec.learn(fn)
args, _ = codec.decode_call(payload)
sys.stdout.buffer.write(codec.encode(fn(*args)))
"""
RECEIVE = """
expected = (
    Order(2), Point(far_out=2), Checked(5), Box(Box(1)), Pair(1), Access(3), Unit.KILO, Colour.RED
)
print(JsonCodec().decode(sys.stdin.read()) == expected)
"""


def run(code: str, given: bytes = b"") -> bytes:
    """What a Python process that runs ``code`` as its ``__main__`` prints."""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], input=given, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def test_types_of_main_go_to_a_worker_and_come_back() -> None:
    """P9, P12: a script's own enums, structs and dataclasses, as arguments and as result."""
    assert run(MAIN + RECEIVE, run(WORK, run(MAIN + SEND))).split() == [b"True"]


def test_types_can_be_sent_along() -> None:
    """For values whose types the code does not mention: the same classes as those that it does."""
    code = "dump_callable(lambda order: (order.number, types_of(order)), [Order, Colour])"
    send = SEND.replace("dump_callable(fn)", code).replace("args, {}", "args[:1], {}")
    work = WORK.replace("load_callable", "load_shipped").replace("fn = ", "fn, types = ")
    work = work.replace("JsonCodec()", "JsonCodec(types=types)").replace("codec.learn(fn)", "")

    assert run(work, run(MAIN + "types_of = lambda order: type(order) is Order\n" + send)) == TUPLE


TUPLE = b'{"$":"tuple","v":[1,true]}'


def test_a_model_of_main_is_refused_with_the_remedy() -> None:
    """Neither dill nor we can copy pydantic's classes: told when it is shipped, not in the worker."""
    pydantic = pytest.importorskip("pydantic", minversion="2")
    local = pydantic.create_model("Local", x=(int, ...), __module__="__main__")

    with pytest.raises(NotStorable, match="move it to one"):
        dump_callable(closure(local))


def test_an_enum_with_a_constructor_of_its_own_is_refused_with_the_remedy() -> None:
    """What its members were made of is not kept anywhere."""
    script = (
        "import enum; from tempolite.codec import dump_callable\n"
        "class Odd(enum.Enum):\n"
        "    def __new__(cls, value):\n"
        "        self = object.__new__(cls); self._value_ = value; return self\n"
        "    ONE = 1\n"
        "try: dump_callable(lambda: Odd.ONE)\n"
        "except TypeError as refused: print(refused)"
    )

    assert b"Odd has a __new__ of its own: move it to a module" in run(script)


def test_a_module_that_no_name_leads_to_is_loaded_from_its_file(tmp_path: pathlib.Path) -> None:
    """pytest and notebooks load files under names that only they know; imports beside the file work."""
    (tmp_path / "beside.py").write_text("FACTOR = 7\n")
    (tmp_path / "odd.py").write_text("from .beside import FACTOR\n\ndef fn(x):\n    return x * FACTOR\n")
    send = (
        "import sys\nfrom tempolite.codec.shipping import _load_file, dump_callable\nimport pathlib\n"
        f"_load_file('no.such.odd', pathlib.Path({str(tmp_path / 'odd.py')!r}))\n"
        "sys.stdout.buffer.write(dump_callable(sys.modules['no.such.odd'].fn))"
    )
    work = (
        "import sys\nfrom tempolite.codec import load_callable\n"
        "print(load_callable(sys.stdin.buffer.read())(3))"
    )

    assert run(work, run(send)).split() == [b"21"]


def test_a_module_that_fails_to_load_is_not_kept(tmp_path: pathlib.Path) -> None:
    """Its own error is told, and the next try starts anew."""
    (tmp_path / "failing_module.py").write_text("def fn(): ...\nimport no_such_module\n")
    work = (
        "import pathlib, sys\nfrom tempolite.codec.shipping import _load_file\n"
        f"try: _load_file('failing_module', pathlib.Path({str(tmp_path / 'failing_module.py')!r}))\n"
        "except ImportError as error: print(error.name, 'failing_module' in sys.modules)"
    )

    assert run(work).split() == [b"no_such_module", b"False"]
