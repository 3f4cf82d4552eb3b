"""Who may import what, where SQL may stand, and what nobody may touch."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from tests.tidy.sources import Finding, Source

APSW_FILES = ("actors/database_file.py", "actors/persistence.py")
OWN_PROCESS = (
    "actors/worker_main.py",
    "actors/memory_limit.py",
    "tempolite/cli/",
    "tempolite/contrib/daemon.py",
)
"""A command line, a daemon and a worker process own their process; an engine is a guest."""

THREAD_MODULES = frozenset({"pykka", "threading", "_thread", "multiprocessing", "concurrent", "queue"})

THREAD_PLACES = ("actors/", "tempolite/testing/leaks.py")
"""Where they are made, and where a test's are looked for."""

PROCESS_WIDE = frozenset(
    {
        "apsw.bestpractice.apply",
        "asyncio.set_event_loop",
        "asyncio.set_event_loop_policy",
        "atexit.register",
        "faulthandler.enable",
        "gc.disable",
        "gc.freeze",
        "locale.setlocale",
        "logging.basicConfig",
        "logging.disable",
        "multiprocessing.set_start_method",
        "os.umask",
        "pykka.ActorRegistry.stop_all",
        "ActorRegistry.stop_all",
        "socket.setdefaulttimeout",
        "sys.addaudithook",
        "sys.setrecursionlimit",
        "sys.setswitchinterval",
        "threading.setprofile",
        "threading.settrace",
        "warnings.filterwarnings",
        "warnings.simplefilter",
    }
)
OWN_PROCESS_CALLS = frozenset(
    {
        "resource.setrlimit",
        "signal.signal",
        "signal.setitimer",
        "signal.set_wakeup_fd",
        "signal.pthread_sigmask",
    }
)

_SLEEP = re.compile(r"\btime\.sleep\(")
_TRANSACTION = re.compile(r"\s*(PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b")
_SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|REPLACE|WITH|VACUUM|ATTACH|ANALYZE|REINDEX|"
    r"PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b"
)


def thread_imports(source: Source) -> Iterator[Finding]:
    """Actors, threads and queues outside ``actors/``; names needed only by the type checker are free."""
    if not source.path.startswith(THREAD_PLACES):
        typing_only = _lines_for_type_checker(source.tree)
        yield from (
            finding for finding in _imports(source, THREAD_MODULES) if finding.line not in typing_only
        )


def apsw_imports(source: Source) -> Iterator[Finding]:
    """APSW outside the two files that know the database, and the standard library's SQLite anywhere."""
    yield from _imports(source, {"sqlite3"} if source.path in APSW_FILES else {"sqlite3", "apsw"})


def dill_imports(source: Source) -> Iterator[Finding]:
    """dill and pickle outside the codec."""
    if not source.path.startswith("tempolite/codec"):
        yield from _imports(source, {"dill", "pickle", "marshal", "shelve"})


def sql_texts(source: Source) -> Iterator[Finding]:
    """SQL outside ``tempolite/store``; the two files that use APSW may open and close transactions."""
    if source.path.startswith("tempolite/store/"):
        return
    documentation = _documentation(source.tree)
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in documentation:
            continue
        is_allowed = source.path in APSW_FILES and _TRANSACTION.match(node.value)
        if _SQL.match(node.value) and not is_allowed:
            yield Finding(
                source.path, node.lineno, f"SQL outside tempolite/store: {node.value.strip()[:40]!r}"
            )


def process_wide_touches(source: Source) -> Iterator[Finding]:
    """Calls that change the whole process."""
    forbidden = PROCESS_WIDE if source.path.startswith(OWN_PROCESS) else PROCESS_WIDE | OWN_PROCESS_CALLS
    for name, line in _calls(source.tree):
        if name in forbidden:
            yield Finding(source.path, line, f"{name} changes the whole process, which is the application's")


def sleeps(source: Source) -> Iterator[Finding]:
    """Sleeping instead of waiting for something; scripts in texts are looked at as well."""
    if "sleep" not in source.text:
        return
    for name, line in _calls(source.tree):
        if name in ("time.sleep", "sleep"):
            yield Finding(source.path, line, "waits for time, not for something: use a named signal")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SLEEP.search(node.value):
            yield Finding(source.path, node.lineno, "a script waits for time, not for something")


def _imports(source: Source, forbidden: Collection[str]) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        for module in _imported(node):
            if module.split(".")[0] in forbidden:
                line = node.lineno  # type: ignore[attr-defined]
                yield Finding(source.path, line, f"imports {module}, which belongs elsewhere")


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module or ""]
    return []


def _lines_for_type_checker(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            lines.update(range(node.lineno, (node.body[-1].end_lineno or node.lineno) + 1))
    return lines


def _documentation(tree: ast.Module) -> set[ast.AST]:
    """Texts that stand by themselves: docstrings, and those below attributes."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno
