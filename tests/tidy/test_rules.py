"""Each rule finds what it looks for, and leaves alone what is right."""

from __future__ import annotations

import pytest

from tests.tidy import boundaries, documents, shape
from tests.tidy.sources import Finding, Rule, Source, broken

LONG_BODY = "def f():\n" + "    pass\n" * 51
DEEP = """
def f(a):
    if a:
        for b in a:
            while b:
                with b:
                    pass
"""
ELIFS = "def f(a):\n    if a:\n        pass\n" + "    elif a:\n        pass\n" * 6
WIDE = "def f(a, b, c, *, d, e, g, h): ...\n"
MARKDOWN = ".md"
SLEEP = f"time.{'sleep'}(1)"

BROKEN: list[tuple[Rule, str, str]] = [
    (shape.long_files, "tempolite/x.py", "pass\n" * 401),
    (shape.long_bodies, "tempolite/x.py", LONG_BODY),
    (shape.deep_nesting, "tempolite/x.py", DEEP),
    (shape.many_parameters, "tempolite/x.py", WIDE),
    (shape.vague_names, "tempolite/utils.py", ""),
    (shape.vague_names, "tempolite/helpers/retry.py", ""),
    (shape.undocumented, "tempolite/x.py", "def f(): ...\n"),
    (shape.undocumented, "tempolite/x.py", '"""M."""\nclass C: ...\n'),
    (shape.undocumented, "tempolite/x.py", '"""M."""\nclass C:\n    """C."""\n    def m(self): ...\n'),
    (shape.unspoken_tests, "tests/test_x.py", '"""M."""\ndef test_it_works():\n    """It does."""\n'),
    (shape.unspoken_tests, "tests/test_x.py", '"""M."""\ndef test_it_works_every_time(): ...\n'),
    (boundaries.thread_imports, "tempolite/x.py", "import threading\n"),
    (boundaries.thread_imports, "tempolite/x.py", "def f():\n    from concurrent.futures import Executor\n"),
    (boundaries.apsw_imports, "tempolite/store/x.py", "import apsw.ext\n"),
    (boundaries.apsw_imports, "actors/persistence.py", "from sqlite3 import connect\n"),
    (boundaries.dill_imports, "actors/x.py", "from dill import loads\n"),
    (boundaries.sql_texts, "tempolite/x.py", "sql = f'SELECT a FROM b WHERE {c}'\n"),
    (boundaries.sql_texts, "actors/persistence.py", "sql = 'UPDATE runs SET a = 1'\n"),
    (boundaries.process_wide_touches, "tempolite/x.py", "import signal\nsignal.signal(1, None)\n"),
    (boundaries.process_wide_touches, "tempolite/cli/x.py", "logging.basicConfig()\n"),
    (boundaries.sleeps, "tests/x.py", f"import time\n{SLEEP}\n"),
    (boundaries.sleeps, "tests/x.py", f"script = '''\n{SLEEP}\n'''\n"),
    (documents.machine_paths, "README.md", "see /" + "home/me/notes"),
]

RIGHT: list[tuple[Rule, str, str]] = [
    (shape.deep_nesting, "tempolite/x.py", ELIFS),
    (shape.undocumented, "tempolite/x.py", '"""M."""\ndef _f(): ...\n'),
    (shape.unspoken_tests, "tests/x.py", '"""M."""\ndef test_side(): ...\n'),
    (boundaries.thread_imports, "actors/x.py", "import threading\n"),
    (boundaries.thread_imports, "tempolite/x.py", "if TYPE_CHECKING:\n    import pykka\n"),
    (boundaries.apsw_imports, "actors/persistence.py", "import apsw\n"),
    (boundaries.dill_imports, "tempolite/codec/x.py", "import dill\n"),
    (boundaries.sql_texts, "tempolite/store/x.py", "sql = 'SELECT a FROM b'\n"),
    (boundaries.sql_texts, "tempolite/x.py", '"""SELECT what you like."""\n'),
    (boundaries.sql_texts, "actors/persistence.py", "sql = 'COMMIT'\n"),
    (boundaries.process_wide_touches, "actors/worker_main.py", "signal.signal(1, None)\n"),
    (documents.machine_paths, "README.md", "see docs/home/page and `/proc/self`"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_a_rule_finds_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    """One planted fault, one finding or more, with its place."""
    findings = list(rule(Source(path, text)))

    assert [finding.path for finding in findings][:1] == [path]


@pytest.mark.parametrize(("rule", "path", "text"), RIGHT)
def test_a_rule_leaves_alone_what_is_right(rule: Rule, path: str, text: str) -> None:
    """No finding where the style has nothing to say."""
    findings = list(rule(Source(path, text)))

    assert findings == []


def test_a_mention_of_a_missing_document_is_found() -> None:
    """The name counts, wherever the document lies."""
    here, gone = f"here{MARKDOWN}", f"gone{MARKDOWN}"
    source = Source("x.py", f"# drawn in docs/{here}\n# as in {gone}\n")

    findings = list(documents.missing_documents(source, {here}))

    assert [finding.line for finding in findings] == [2]


def test_a_promise_that_is_stated_nowhere_is_found() -> None:
    """P12 is not P1."""
    stated = documents.stated_promises("**P1** Steps are known by name.")

    findings = list(documents.unstated_promises(Source("x.py", "# P1\n# P12\n"), stated))

    assert [finding.line for finding in findings] == [2]


def test_an_exception_silences_its_place_and_no_other() -> None:
    """Exceptions name the file and the function."""

    def rule(source: Source) -> list[Finding]:
        return [Finding(source.path, 1, "one", "f"), Finding(source.path, 2, "two", "g")]

    problems = broken(rule, [Source("x.py", "")], {"x.py:f": "it must"})

    assert problems == ["x.py:2: two"]


def test_an_exception_that_nothing_needs_is_a_problem() -> None:
    """The tables don't outlive the code that they were made for."""
    problems = broken(lambda _source: [], [Source("x.py", "")], {"x.py:f": "it must"})

    assert problems == ["x.py:f: the exception is not needed any more"]
