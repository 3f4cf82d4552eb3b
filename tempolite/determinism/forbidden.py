"""The calls that belong outside of workflow code, and what to use instead.

The table goes by names, because most of these modules are never imported by a program that we look at. What
they stand for is looked up among the modules that are imported, so that it is known by any other name too.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

_MISSING = object()


@dataclass(frozen=True)
class Group:
    """Calls that have the same remedy.

    Attributes:
        topic: what they are.
        instead: what to use in their place.
        names: dotted names; of built-in functions without their module.
    """

    topic: str
    instead: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Forbidden:
    """One call of the table."""

    name: str
    instead: str


def _of(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


TABLE: tuple[Group, ...] = (
    Group(
        "clocks",
        "use ctx.now()",
        (
            *_of("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns"),
            *_of("time", "process_time process_time_ns thread_time thread_time_ns"),
            *_of("datetime.datetime", "now utcnow today"),
            "datetime.date.today",
        ),
    ),
    Group("waiting", "use ctx.sleep(step, seconds)", ("time.sleep",)),
    Group(
        "randomness",
        "use ctx.random",
        (
            *_of("random", "random uniform randint randrange randbytes getrandbits choice choices sample"),
            *_of("random", "shuffle gauss normalvariate lognormvariate expovariate betavariate gammavariate"),
            *_of("random", "triangular vonmisesvariate paretovariate weibullvariate seed"),
            *_of("numpy.random", "rand randn random randint random_sample normal uniform choice shuffle"),
            *_of("numpy.random", "permutation bytes seed"),
        ),
    ),
    Group(
        "secrets",
        "use ctx.side_effect(step, fn)",
        (
            *_of("secrets", "token_bytes token_hex token_urlsafe randbelow randbits choice"),
            *_of("os", "urandom getrandom"),
            "random.SystemRandom",
        ),
    ),
    Group("unique ids", "use ctx.uuid4()", ("uuid.uuid1", "uuid.uuid4")),
    Group("questions to a person", "use ctx.signal(name)", ("input", "getpass.getpass")),
    Group(
        "files",
        "use ctx.activity(step, fn), or ctx.side_effect(step, fn) for something small",
        (
            "open",
            "io.open_code",
            *_of("os", "open read write stat lstat listdir scandir walk mkdir makedirs rmdir removedirs"),
            *_of("os", "remove unlink rename renames replace link symlink readlink truncate chmod chown"),
            *_of("shutil", "copy copy2 copyfile copytree move rmtree disk_usage"),
            *_of("tempfile", "mkstemp mkdtemp NamedTemporaryFile TemporaryFile TemporaryDirectory"),
            "sqlite3.connect",
        ),
    ),
    Group(
        "network",
        "use ctx.activity(step, fn)",
        (
            *_of("socket", "socket create_connection create_server socketpair getaddrinfo gethostbyname"),
            *_of("socket", "gethostname getfqdn"),
            *_of("socket.socket", "connect connect_ex accept send sendall sendto recv recv_into recvfrom"),
            *_of("urllib.request", "urlopen urlretrieve OpenerDirector.open"),
            *_of("http.client", "HTTPConnection.request HTTPConnection HTTPSConnection"),
            *_of("smtplib", "SMTP SMTP_SSL"),
            "ftplib.FTP",
            *_of("requests", "get post put patch delete head options request Session Session.request"),
            *_of("httpx", "get post put patch delete head options request stream Client AsyncClient"),
            *_of("httpx", "Client.request AsyncClient.request Client.send AsyncClient.send"),
            *_of("aiohttp", "request ClientSession ClientSession.request"),
            *_of("urllib3", "request PoolManager PoolManager.request"),
            *_of("boto3", "client resource"),
        ),
    ),
    Group(
        "processes",
        "use ctx.activity(step, fn)",
        (
            *_of("subprocess", "run call check_call check_output getoutput getstatusoutput Popen"),
            *_of("os", "system popen fork forkpty posix_spawn posix_spawnp waitpid"),
            *_of("multiprocessing", "Process Pool"),
        ),
    ),
    Group(
        "threads",
        "use several ctx.activity(step, fn): they run in parallel",
        (
            *_of("threading", "Thread Timer"),
            *_of("_thread", "start_new_thread start_new"),
            *_of("concurrent.futures", "ThreadPoolExecutor ProcessPoolExecutor"),
        ),
    ),
    Group(
        "asyncio, where it needs threads, sockets, processes or another loop",
        "use ctx.activity(step, fn), and `await` for what is a coroutine",
        (
            *_of("asyncio", "run to_thread open_connection start_server open_unix_connection"),
            *_of("asyncio", "start_unix_server create_subprocess_exec create_subprocess_shell"),
            *_of("asyncio", "new_event_loop"),
            "loop.run_in_executor",
        ),
    ),
)
"""Everything that is noticed; docs/determinism.md shows it."""

NAMED: dict[str, Forbidden] = {
    name: Forbidden(name, group.instead) for group in TABLE for name in group.names
}
"""By dotted name."""

METHODS = {"run_in_executor": NAMED["loop.run_in_executor"]}
"""Methods known by their name alone, whatever the object is."""


@dataclass
class Index:
    """The table, looked up in the modules that are imported now.

    Attributes:
        objects: by the identity of a function or class.
        members: by the identity of a class, and a method's name.
        builtins: functions written in C, as a profile hook is told of them.
        codes: by the identity of the code that runs first in a call.
        c_methods: by name, methods written in C, each with its class.
    """

    objects: dict[int, Forbidden] = field(default_factory=dict)
    members: dict[tuple[int, str], Forbidden] = field(default_factory=dict)
    builtins: dict[Any, Forbidden] = field(default_factory=dict)
    codes: dict[int, Forbidden] = field(default_factory=dict)
    c_methods: dict[str, tuple[type, Forbidden]] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)

    def add(self, owner: Any, value: Any, entry: Forbidden) -> None:
        """Knows an object of the table from now on."""
        # An identity means something only while the object lives.
        self._kept.append((owner, value))
        if isinstance(owner, type):
            self.members[id(owner), entry.name.rpartition(".")[2]] = entry
        else:
            self.objects.setdefault(id(value), entry)
        self._add_call(owner, value, entry)

    def find(self, value: Any) -> Forbidden | None:
        """What the table says of a function or class; of a subclass what it says of its parents."""
        if isinstance(value, type):
            if issubclass(value, BaseException):
                return None
            return next(
                (found for kind in value.__mro__ if (found := self.objects.get(id(kind))) is not None), None
            )
        return self.objects.get(id(value))

    def find_member(self, owner: type, name: str) -> Forbidden | None:
        """What the table says of a class's method."""
        found = (self.members.get((id(kind), name)) for kind in owner.__mro__)
        return next((entry for entry in found if entry is not None), None)

    def _add_call(self, owner: Any, value: Any, entry: Forbidden) -> None:
        if isinstance(value, MethodType):
            # Its code is that of every instance, such as ctx.random; what it calls in C tells them apart.
            return
        if isinstance(value, type):
            # Not an inherited one, which would stand for other classes as well.
            value = vars(value).get("__init__")
        code = getattr(inspect.unwrap(value) if callable(value) else value, "__code__", None)
        if isinstance(code, CodeType):
            self.codes.setdefault(id(code), entry)
            self._kept.append(code)
        elif isinstance(owner, type) and not isinstance(value, FunctionType):
            bound = getattr(owner, entry.name.rpartition(".")[2], None)
            if isinstance(bound, BuiltinFunctionType):
                self.builtins.setdefault(bound, entry)
            else:
                self.c_methods[entry.name.rpartition(".")[2]] = (owner, entry)
        elif isinstance(value, BuiltinFunctionType):
            self.builtins.setdefault(value, entry)


def index() -> Index:
    """The table as it stands with the modules that are imported by now."""
    return _index(len(sys.modules))


@functools.lru_cache(maxsize=1)
def _index(_modules: int) -> Index:
    made = Index()
    for entry in NAMED.values():
        for owner, value in _resolved(entry.name):
            made.add(owner, value, entry)
    return made


def _resolved(name: str) -> Iterator[tuple[Any, Any]]:
    """The object of that name and what holds it, if its module is imported; nothing of the user's runs."""
    module_name, _, attribute = name.rpartition(".")
    owner = sys.modules.get(module_name or "builtins")
    if owner is None:
        module_name, _, class_name = module_name.rpartition(".")
        owner = vars(sys.modules.get(module_name, sys)).get(class_name) if module_name else None
        if not isinstance(owner, type):
            return
    value = inspect.getattr_static(owner, attribute, _MISSING)
    if value is not _MISSING:
        yield owner, value
