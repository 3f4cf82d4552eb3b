"""`python -m tests.benchmarks`: measure, write the page, say whether the targets are reached.

Exit 0 done, 1 a target was missed or not measured (with `--check`), 2 a side failed or the usage was wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.dbos_environment import DbosUnavailable, dbos_python
from tests.benchmarks.figures import Record
from tests.benchmarks.machine import IN_MEMORY, file_system, look_at
from tests.benchmarks.plan import DBOS, DBOS_WAL, SIDES, TARGETS
from tests.benchmarks.report import reached, report
from tests.benchmarks.runner import PROJECT, Runner, SideFailed

ROUNDS = 3
OUTPUT = PROJECT / "docs" / "benchmarks.md"
FOLDER = PROJECT / "build" / "benchmarks"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; the exit code."""
    arguments = _parse(argv)
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if file_system(folder) in IN_MEMORY:
        sys.stderr.write("the folder is in memory, where an fsync costs nothing: give --folder on a disk\n")
        return 2
    machine = look_at(folder)
    try:
        record = _measured(arguments, folder)
    except (SideFailed, DbosUnavailable) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    page = report(record, machine, command=_command(arguments))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(page, encoding="utf-8")
    sys.stdout.write(page)

    return 1 if arguments.check and not all(reached(record, target) for target in TARGETS) else 0


def _measured(arguments: argparse.Namespace, folder: Path) -> Record:
    sides = [side for side in SIDES if not arguments.only or side in arguments.only]
    with_dbos = DBOS in sides or DBOS_WAL in sides
    python = dbos_python(folder, arguments.dbos_python) if with_dbos else Path(sys.executable)
    rounds = arguments.rounds or (1 if arguments.quick else ROUNDS)

    return Runner(sides=sides, folder=folder, dbos_python=python).measure(
        rounds=rounds, quick=arguments.quick
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Tempolite beside DBOS on SQLite and beside the floor."
    )
    parser.add_argument("--rounds", type=_positive, help=f"rounds to measure ({ROUNDS}; 1 when quick)")
    parser.add_argument("--quick", action="store_true", help="one short round, no trial: under a minute")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page to write (docs/benchmarks.md)")
    parser.add_argument("--only", action="append", choices=SIDES, help="measure this side only (repeatable)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--dbos-python", type=Path, help="an interpreter that has DBOS (else one is made)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for database files, on a disk (build/)")

    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1 round, got {number}")

    return number


def _command(arguments: argparse.Namespace) -> str:
    """The command that gives this page again; folders and interpreters of this machine are left out."""
    words = ["python -m tests.benchmarks"]
    words += [f"--rounds {arguments.rounds}"] if arguments.rounds else []
    words += ["--quick"] if arguments.quick else []
    words += [f"--only {side}" for side in arguments.only or ()]

    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
