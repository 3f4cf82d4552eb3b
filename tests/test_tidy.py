"""The style, as far as a test can see it; each test lists every place that breaks its rule."""

from __future__ import annotations

import pytest

from tests.tidy import boundaries, documents, shape
from tests.tidy.sources import (
    ROOT,
    broken,
    engine_modules,
    modules,
    modules_of_tests,
    project_files,
    texts,
)

PARAMETER_EXCEPTIONS = {
    "tempolite/engine/lifecycle.py:Lifecycle.__init__": "the public contract, by keyword but for the path",
    "tempolite/engine/looking.py:Looking.workflows": "the public contract's filters, by keyword",
    "tempolite/engine/listing.py:run_filter": "takes those filters on",
}
LENGTH_EXCEPTIONS = {
    "actors/messages.py": "every message in one place, each documented field by field",
}
SLEEP_EXCEPTIONS = {
    "tests/benchmarks/loading.py": "the pause between two calls is part of the load that is measured",
}


def test_no_file_is_longer_than_a_reader_takes_in() -> None:
    """At most 400 lines a file, tests included."""
    problems = broken(shape.long_files, modules(), LENGTH_EXCEPTIONS)

    assert not problems, listed(problems)


def test_no_function_body_is_too_long() -> None:
    """At most 50 lines, the docstring left out."""
    problems = broken(shape.long_bodies, modules())

    assert not problems, listed(problems)


def test_no_function_is_nested_too_deep() -> None:
    """At most three blocks within each other."""
    problems = broken(shape.deep_nesting, modules())

    assert not problems, listed(problems)


def test_no_function_takes_too_many_parameters() -> None:
    """At most six, but for the public contract's filters and settings."""
    problems = broken(shape.many_parameters, modules(), PARAMETER_EXCEPTIONS)

    assert not problems, listed(problems)


def test_no_module_has_a_name_that_says_nothing() -> None:
    """No utils, common, helpers, misc, base or manager."""
    problems = broken(shape.vague_names, modules())

    assert not problems, listed(problems)


def test_everything_public_in_the_engine_has_a_docstring() -> None:
    """Modules, classes, functions and methods say what they do for the caller."""
    problems = broken(shape.undocumented, engine_modules())

    assert not problems, listed(problems)


def test_every_test_is_a_sentence_with_a_promise() -> None:
    """Four words or more in the name, and a docstring."""
    problems = broken(shape.unspoken_tests, modules_of_tests())

    assert not problems, listed(problems)


def test_only_actors_know_threads_and_mailboxes() -> None:
    """No pykka, threading, queue or process pool outside ``actors/``."""
    problems = broken(boundaries.thread_imports, engine_modules())

    assert not problems, listed(problems)


def test_only_two_files_know_the_database_driver() -> None:
    """APSW stays in the database file and the persistence actor; nobody uses the standard library's."""
    problems = broken(boundaries.apsw_imports, engine_modules())

    assert not problems, listed(problems)


def test_only_the_codec_knows_dill() -> None:
    """What can run code when it is loaded is imported in one place."""
    problems = broken(boundaries.dill_imports, engine_modules())

    assert not problems, listed(problems)


def test_sql_stands_in_the_store_only() -> None:
    """Elsewhere no statement but the transaction's own."""
    problems = broken(boundaries.sql_texts, engine_modules())

    assert not problems, listed(problems)


def test_the_engine_touches_nothing_that_the_process_shares() -> None:
    """No signal handlers, logging set-up, start method or registry of somebody else."""
    problems = broken(boundaries.process_wide_touches, engine_modules())

    assert not problems, listed(problems)


def test_no_test_sleeps_to_wait() -> None:
    """Tests wait for named signals with a deadline."""
    problems = broken(boundaries.sleeps, modules_of_tests(), SLEEP_EXCEPTIONS)

    assert not problems, listed(problems)


def test_no_file_names_a_path_of_one_machine() -> None:
    """What is written here is true in every clone."""
    problems = broken(documents.machine_paths, texts())

    assert not problems, listed(problems)


def test_every_document_that_is_mentioned_exists() -> None:
    """Code and documents refer to documents of this project only."""
    here = {path.rsplit("/", 1)[-1] for path in project_files() if path.endswith(".md")}

    problems = broken(lambda source: documents.missing_documents(source, here), texts())

    assert not problems, listed(problems)


def test_every_promise_that_is_referred_to_is_stated() -> None:
    """P1, P2 and so on stand in the README."""
    stated = documents.stated_promises((ROOT / "README.md").read_text("utf-8"))

    problems = broken(lambda source: documents.unstated_promises(source, stated), texts())

    assert not problems, listed(problems)


def test_nothing_else_lies_at_the_top_of_the_project() -> None:
    """The top level is fixed."""
    top = {path.split("/")[0] for path in project_files()}

    assert top <= documents.TOP_LEVEL, f"must not be there: {sorted(top - documents.TOP_LEVEL)}"


@pytest.mark.parametrize("folder", ["actors", "tempolite", "tests"])
def test_every_part_of_the_project_is_looked_at(folder: str) -> None:
    """The rules above are not held by an empty list."""
    found = [source for source in modules() if source.path.startswith(f"{folder}/")]

    assert len(found) > 10


def listed(problems: list[str]) -> str:
    """One problem a line."""
    return "\n".join(["", *problems])
