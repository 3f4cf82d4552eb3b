"""The examples do what they say: judged by what they print, and by what is there when they have ended."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.examples_page import FIRST, PAGE, examples, page

EXAMPLE_S = 60

every_example = pytest.mark.parametrize("example", examples(), ids=lambda path: path.stem)
with_folder = pytest.mark.parametrize("example", examples()[1:], ids=lambda path: path.stem)


def run(example: Path | str, *arguments: Path, cwd: Path) -> list[str]:
    """What an example prints; it must end well, and without a word on stderr."""
    program = PAGE.parents[1] / "examples" / example
    temporary = cwd.with_name("temporary")
    cwd.mkdir(exist_ok=True), temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=EXAMPLE_S,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert list(temporary.iterdir()) == []
    return done.stdout.splitlines()


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """Where the program is started; it has no business there."""
    return tmp_path / "cwd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the example is told to work in; it isn't there yet."""
    return tmp_path / "parent" / "folder"


@every_example
def test_every_example_runs_and_leaves_nothing_behind(example: Path, cwd: Path) -> None:
    """Neither where it was started nor among the temporary files; the README's leaves its database."""
    run(example, cwd=cwd)

    left = [path.name for path in cwd.iterdir() if not path.name.startswith("orders.db")]
    assert left == []
    assert (cwd / "orders.db").exists() == (example.name == FIRST)


@with_folder
def test_an_example_says_first_what_it_shows_and_how_to_run_it(example: Path) -> None:
    """A title, a few lines and the command; of the README's program the README says it."""
    lines = (ast.get_docstring(ast.parse(example.read_text("utf-8"))) or "").splitlines()

    assert lines[0].endswith(".")
    assert 3 <= len([line for line in lines if line]) <= 7
    assert lines[-1].startswith(f"    python {example.name} [FOLDER]    # ")


def test_the_page_of_the_examples_is_up_to_date() -> None:
    """``python -m tests.examples_page`` writes it."""
    assert PAGE.read_text("utf-8") == page()


def test_the_page_shows_every_example_as_it_is() -> None:
    """Block by block, whatever made the page."""
    blocks = re.findall(
        r"^## (\w+)\n\n```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )

    assert blocks == [(path.stem, path.read_text("utf-8")) for path in examples()]


def test_approval_reminds_and_expires(folder: Path, cwd: Path) -> None:
    """Three claims, three ends; each mail was sent once."""
    printed = run("approval.py", folder, cwd=cwd)

    mails = (folder / "mails.txt").read_text("utf-8").splitlines()
    assert printed[0] == "travel: approved by Mary"
    assert printed[2:4] == ["screen: rejected by Mary", "party: expired - after 2 reminders"]
    assert [mail for mail in mails if "Cid" in mail] == [
        "To manager: Cid asks for 9000 €",
        "To manager: reminder 1: Cid still waits for 9000 €",
        "To manager: reminder 2: Cid still waits for 9000 €",
        "To Cid: party: expired",
    ]
    assert set(Counter(mails).values()) == {1}


def test_a_transfer_is_undone_as_a_whole(folder: Path, cwd: Path) -> None:
    """No money comes or goes but the fee of the one that went through; a second start moves none."""
    for _ in range(2):
        printed = run("money_transfer.py", folder, cwd=cwd)

        assert "gift, 10 € from ann to cid: undone: cid has no account any more" in printed
        assert printed[-3:] == [
            "ann has 39 €: -61 to bob, -11 to cid, +11 given back",
            "bob has 80 €: +60 from ann",
            "cid has 0 €: no bookings",
        ]
    assert len(list(folder.glob("banks/*/*.json"))) == 4


def test_the_totals_of_the_etl_are_right(folder: Path, cwd: Path) -> None:
    """One part was tried twice; the report holds what was printed."""
    printed = run("etl_fan_out.py", folder, cwd=cwd)

    assert [line.endswith("attempt 2") for line in printed[:4]] == [False, True, False, False]
    assert printed[-1].endswith("totals are right: True")
    report = (folder / "report.csv").read_text("utf-8").split()
    cents = {region: int(amount) for region, amount in (line.split(",") for line in report[1:])}
    assert printed[4:8] == [f"{region}: {amount / 100:,.2f} €" for region, amount in cents.items()]


def test_each_month_is_billed_once(folder: Path, cwd: Path) -> None:
    """Every month has one invoice and a key of its own; the plan changes in the middle."""
    printed = run("subscription.py", folder, cwd=cwd)

    invoices = [line.split(",") for line in (folder / "invoices.csv").read_text("utf-8").splitlines()]
    months = {name: [int(month) for who, month, *_ in invoices if who == name] for name in ("Ann", "Bob")}
    assert months["Bob"] == [1, 2, 3, 4]
    assert months["Ann"] == list(range(1, len(months["Ann"]) + 1))
    assert f"Ann: cancelled in month {len(months['Ann'])}: too loud" in printed
    assert {plan for who, _, plan, *_ in invoices if who == "Ann"} == {"basic", "team"}
    assert len({key for *_, key in invoices}) == len(invoices)


def test_a_run_in_flight_stays_on_its_version(folder: Path, cwd: Path) -> None:
    """Only the new order is checked."""
    printed = run("versioned_upgrade.py", folder, cwd=cwd)

    assert printed == [
        "release 1: WAITING",
        "release 2: old order reserved, old order shipped",
        "release 2: new order reserved, new order checked, new order shipped",
    ]


def test_a_job_that_is_not_ready_in_time_is_withdrawn(folder: Path, cwd: Path) -> None:
    """Two films are fetched; of the third nothing is left at the farm."""
    printed = run("polling.py", folder, cwd=cwd)

    assert printed[0] == "trailer: ready, seen at look 1"
    assert re.fullmatch(r"short: ready, seen at look \d+", printed[1])
    assert printed[2].startswith("epic: 'epic' was not ready in 0.5 s")
    assert sorted(path.read_text() for path in folder.glob("farm/*.film")) == ["short\n", "trailer\n"]
    assert len(list(folder.glob("farm/*.json"))) == 2


def test_media_are_converted_and_the_film_is_stopped(folder: Path, cwd: Path) -> None:
    """All results are there; of the film nothing is; the cover did not wait for all the others."""
    printed = run("media_conversion.py", folder, cwd=cwd)

    order = re.findall(r"[\w-]+", printed[-3].partition("order: ")[2].partition(";")[0])
    assert len(order) == 8
    assert order.index("cover") < 7
    assert printed[-2] == "film: CANCELLED"
    pictures = [*(f"picture-{number}" for number in range(1, 7)), "cover"]
    assert {path.stem for path in folder.glob("*.pgm")} == set(pictures)
    assert {path.stat().st_size for path in folder.glob("*.pgm")} == {len(b"P5 96 72 255\n") + 96 * 72}
    assert (folder / "music-hall.wav").stat().st_size == (folder / "music.wav").stat().st_size
    assert not [path for path in folder.iterdir() if path.suffix in (".part", ".raw")]


def test_the_agent_orders_once_what_was_approved(folder: Path, cwd: Path) -> None:
    """Eve is refused; the one without a budget orders nothing."""
    printed = run("agent_loop.py", folder, cwd=cwd)

    assert printed[1:3] == ["Eve: Eve may not approve, ask Mary or Paul", "Mary: order approved"]
    assert "agent: I ordered 12 coffee; paper and tea will do. (4 turns, 2 runs, 460 tokens left)" in printed
    assert "thrifty agent: out of budget after 2 turns" in printed
    assert "price {'item': 'gold'}: LookupError: the shop has no gold" in printed
    assert (folder / "orders.txt").read_text("utf-8") == "12 coffee\n"


def test_the_book_is_printed_once_in_spite_of_the_crash(folder: Path, cwd: Path) -> None:
    """The first start is killed after page three, the second one goes on with page four."""
    printed = run("crash_and_resume.py", folder, cwd=cwd)

    assert printed[0] == "first start: killed"
    assert printed[2] == "second start: exit code 0, the book is printed"
    journal = (folder / "journal.txt").read_text("utf-8").splitlines()
    assert journal == [f"page {page}" for page in range(1, 7)]


def test_each_night_has_one_report(folder: Path, cwd: Path) -> None:
    """Two nights and one by hand, at least; nothing is due while it is paused."""
    printed = run("nightly_report.py", folder, cwd=cwd)

    runs = [line for line in printed if line.startswith("nightly/")]
    reports = list(folder.glob("reports/*.txt"))
    assert len(reports) == len(runs) >= 3
    assert all(line.endswith(": COMPLETED") for line in runs)
    assert "paused; next at never" in printed
    assert printed[-1] == f"{len(reports)} reports"


@with_folder
def test_an_example_can_be_run_again_in_the_same_folder(example: Path, folder: Path, cwd: Path) -> None:
    """What is there from the first time is in nobody's way."""
    first = run(example, folder, cwd=cwd)

    again = run(example, folder, cwd=cwd)

    assert len(again) >= len(first) // 2
    assert list(cwd.iterdir()) == []
