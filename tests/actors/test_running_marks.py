"""Which attempts were running when an engine died: kept in a file, counted, and forgotten when they end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempolite.actors.marks_file import NO_MARK, RECORDS, SIZE, MarkSetter
from tempolite.actors.running_marks import KEPT_MAX, UNCLEAN_ENDS_MAX, RunningMarks


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is."""
    return str(tmp_path / "runs.db-running")


def dies_while_running(path: str, *keys: str) -> None:
    """One engine's life: these attempts begin, and the process is gone."""
    marks, worker = RunningMarks(path, was_clean=False), MarkSetter(path)
    for key in keys:
        worker.begin(marks.claim(key))
    worker.close()
    marks.close()


def test_an_attempt_is_counted_once_for_each_unclean_end(path: str) -> None:
    """Others are not."""
    for _ in range(UNCLEAN_ENDS_MAX):
        dies_while_running(path, "a")

    marks = RunningMarks(path, was_clean=False)

    assert marks.unclean_ends("a") == UNCLEAN_ENDS_MAX
    assert marks.unclean_ends("b") == 0
    marks.close()


def test_what_was_given_to_a_worker_and_had_not_begun_is_not_counted(path: str) -> None:
    """Only who runs can be what ends the engine."""
    marks = RunningMarks(path, was_clean=True)
    marks.claim("a")
    marks.close()

    assert RunningMarks(path, was_clean=False).unclean_ends("a") == 0


def test_an_engine_that_is_closed_counts_nothing_and_forgets_nothing(path: str) -> None:
    """Counts of unclean ends before it stand."""
    dies_while_running(path, "a")
    dies_while_running(path, "a")

    dies_while_running(path, "a", "b")
    after = RunningMarks(path, was_clean=True)

    assert (after.unclean_ends("a"), after.unclean_ends("b")) == (2, 0)
    after.close()


@pytest.mark.parametrize(("is_over", "ends"), [(True, 0), (False, 1)])
def test_an_attempt_that_ended_is_forgotten_with_its_count(path: str, is_over: bool, ends: int) -> None:
    """One that was only given back is not running, and its count stands."""
    dies_while_running(path, "a")
    marks = RunningMarks(path, was_clean=False)
    number = marks.claim("a")
    marks.begin(number)

    marks.release(number, is_over=is_over)
    marks.close()

    assert RunningMarks(path, was_clean=False).unclean_ends("a") == ends


def test_a_record_is_given_out_again_when_its_attempt_is_over(path: str) -> None:
    """However many attempts there are in the life of an engine."""
    marks = RunningMarks(path, was_clean=True)

    for number in range(3 * RECORDS):
        claimed = marks.claim(f"{number}")
        assert claimed != NO_MARK
        marks.begin(claimed)
        marks.release(claimed, is_over=True)
    marks.close()

    after = RunningMarks(path, was_clean=False)
    assert [after.unclean_ends(f"{number}") for number in (0, RECORDS, 3 * RECORDS - 1)] == [0, 0, 0]


def test_more_attempts_than_records_run_unmarked(path: str) -> None:
    """And their end frees nothing that is somebody else's."""
    marks = RunningMarks(path, was_clean=True)
    claimed = [marks.claim(f"{number}") for number in range(RECORDS + 1)]

    assert len(set(claimed)) == RECORDS + 1
    assert claimed[-1] == NO_MARK
    marks.begin(NO_MARK)
    marks.release(NO_MARK, is_over=True)
    assert marks.claim("another") == NO_MARK
    marks.close()


def test_counts_of_attempts_that_never_come_again_do_not_fill_the_file(path: str) -> None:
    """Half of it is kept for what runs now."""
    dies_while_running(path, *(f"{number}" for number in range(RECORDS)))

    marks = RunningMarks(path, was_clean=False)

    assert sum(marks.unclean_ends(f"{number}") for number in range(RECORDS)) == KEPT_MAX
    assert marks.claim("new") != NO_MARK
    marks.close()


def test_a_worker_of_the_engine_before_writes_into_its_own_file(path: str) -> None:
    """An orphan that is about to be killed disturbs nobody."""
    before = RunningMarks(path, was_clean=True)
    orphan = MarkSetter(path)
    number = before.claim("a")

    now = RunningMarks(path, was_clean=False)
    orphan.begin(number)
    now.close()

    assert RunningMarks(path, was_clean=False).unclean_ends("a") == 0


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(1_000), b"\xff" * RECORDS * SIZE])
def test_a_file_that_makes_no_sense_stops_nobody(path: str, content: bytes) -> None:
    """A power loss may leave anything: at worst a count is lost."""
    Path(path).write_bytes(content)

    marks = RunningMarks(path, was_clean=False)

    assert marks.unclean_ends("a") == 0
    marks.begin(marks.claim("a"))
    marks.close()
    assert RunningMarks(path, was_clean=False).unclean_ends("a") == 1


def test_the_file_is_for_its_owner_only_and_goes_with_the_engine(path: str) -> None:
    """It stays only where an attempt that was interrupted has yet to run again."""
    marks = RunningMarks(path, was_clean=True)
    assert os.stat(path).st_mode & 0o777 == 0o600
    marks.close_clean()
    assert not os.path.exists(path)

    dies_while_running(path, "a")
    again = RunningMarks(path, was_clean=False)
    again.close_clean()

    assert RunningMarks(path, was_clean=True).unclean_ends("a") == 1


def test_a_database_in_memory_needs_no_file(tmp_path: Path) -> None:
    """Nothing of it outlives the process."""
    marks = RunningMarks(None, was_clean=False)

    number = marks.claim("a")
    marks.begin(number)
    marks.release(number, is_over=True)
    marks.close_clean()

    assert number == NO_MARK
    assert not list(tmp_path.iterdir())


def test_who_comes_back_after_the_end_marks_nothing(path: str) -> None:
    """A thread may outlive its engine."""
    marks = RunningMarks(path, was_clean=True)
    number = marks.claim("a")
    marks.close()

    marks.begin(number)
    marks.release(number, is_over=True)

    assert RunningMarks(path, was_clean=False).unclean_ends("a") == 0
