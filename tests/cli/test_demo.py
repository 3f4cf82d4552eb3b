"""The demo as a newcomer runs it: kills, counts, a history, and exit codes that mean something."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

import tempolite.cli
from tempolite.cli.demo.batch import numbered
from tempolite.cli.demo.driver import DemoFailed, Files, Progress, drive
from tempolite.cli.demo.effects import Effect, Kill, read_effects
from tempolite.cli.demo.judge import judge
from tempolite.cli.demo.orders import CATALOGUE, InvalidOrder, Item, Order, read_order
from tempolite.cli.demo.plan import DELIVERED, FAILED, REJECTED, Plan, Unit, plan_for
from tempolite.cli.main import main

BATCH = Path(tempolite.cli.__file__).with_name("orders.jsonl")
DEADLINE_S = 60

LINE = {
    "number": "T-1",
    "customer": "a@example.com",
    "country": "DE",
    "items": [{"sku": "TIN-CEDAR", "quantity": 2}],
}
GOOD = json.dumps(LINE)
ITEMS = json.dumps(LINE["items"])
FLAKY = GOOD.replace("T-1", "T-10441")
OUT_OF_STOCK = GOOD.replace("TIN-CEDAR", "POT-IRON-1200")


# ── the whole demo ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Run:
    """What a demo left behind."""

    code: int
    output: str
    folder: Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One demo for all tests that only look at it."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "tempolite", "demo", "--db", str(folder / "shop.db")]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    return Run(done.returncode, done.stdout + done.stderr, folder)


def test_demo_ends_well_after_both_kills(demo: Run) -> None:
    """Exit code 0: every order ended as it must, and nothing that was recorded ran twice."""
    assert demo.code == 0, demo.output
    assert "All 300 orders ended as they must, and nothing that was recorded ran twice." in demo.output


@pytest.mark.parametrize(
    "words",
    [
        "300 orders, 2,385 steps, one SQLite file",
        "SIGKILL to worker process",
        "SIGKILL to engine 1",
        "opens the same file and goes on",
        "100%  2,385 of 2,385 steps, 300 of 300 orders, 71 retries",
        "258  delivered",
        "6  rejected       unknown SKU",
        "4  failed         no carrier goes to AQ",
        "1  worker killed",
        "1  engine killed",
        "The engine's own records: 296 COMPLETED, 4 FAILED. History of order-",
        "What to type next",
    ],
)
def test_demo_tells_what_happened(demo: Run, words: str) -> None:
    """A newcomer sees the kills, the counts, a history and the next step."""
    assert words in demo.output


def test_history_that_the_demo_shows_spans_the_death_of_the_engine(demo: Run) -> None:
    """The order shown has events before and after the kill, and its end."""
    story = demo.output.partition("History of ")[2].partition("Summary")[0]
    before, _, after = story.partition("SIGKILL")

    assert "RunCreated" in before
    assert "RunCompleted" in after


def test_command_that_the_demo_suggests_works(demo: Run) -> None:
    """What the demo says to type next can be typed."""
    command = demo.output[demo.output.index(f"  {sys.executable} -c ") :]

    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "RunCompleted" in done.stdout


def test_effect_log_of_the_demo_holds_both_kills_and_both_engines(demo: Run) -> None:
    """The demo's claim rests on real kills in the midst of work."""
    entries = read_effects(demo.folder / "shop.effects.jsonl")

    assert [entry.process for entry in entries if isinstance(entry, Kill)] == ["worker", "engine"]
    assert {entry.engine for entry in entries if isinstance(entry, Effect)} == {1, 2}


def test_judge_finds_out_an_engine_that_forgot(tmp_path: Path) -> None:
    """If the file is lost with the first engine, the second does everything again, and the judge says so."""
    files = files_in(tmp_path, BATCH)
    plans = plans_of_the_batch()

    for event in drive(files, plans):
        if isinstance(event, Kill) and event.process == "engine":
            for part in tmp_path.glob("demo.db*"):
                part.unlink()

    problems = judge(plans, read_effects(files.effects)).problems
    assert any("ran again after" in problem for problem in problems)


def test_demo_says_why_an_engine_ended_by_itself(tmp_path: Path) -> None:
    """An engine that fails is no kill: the demo ends with its words."""
    files = files_in(tmp_path, tmp_path / "missing.jsonl")

    with pytest.raises(DemoFailed, match=r"(?s)engine 1 ended with exit code 1.*missing\.jsonl"):
        list(drive(files, {"order-001": plan_for(GOOD)}))


def test_demo_does_not_claim_a_kill_that_came_too_late(tmp_path: Path) -> None:
    """An engine that is done before it could be killed has proved nothing."""
    orders = tmp_path / "orders.jsonl"
    orders.write_text(f"{GOOD}\n")
    plans = {f"order-{number:03}": plan_for(GOOD) for number in range(1, 10)}

    with pytest.raises(DemoFailed, match="was done before it could be killed"):
        list(drive(files_in(tmp_path, orders), plans))


def test_database_that_exists_is_refused(tmp_path: Path) -> None:
    """The demo overwrites nothing: exit code 2, and the file is as it was."""
    database = tmp_path / "mine.db"
    database.write_bytes(b"precious")

    result = CliRunner().invoke(main, ["demo", "--db", str(database)])

    assert result.exit_code == 2
    assert "exists already" in result.output
    assert database.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--db", "missing/demo.db"], "can't write in"),
        (["demo", "--db", "demo.db", "--no-keep"], "--no-keep is for the temporary folder"),
        (["dmeo"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """Wrong usage says what is wrong, and writes nothing."""
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert words in result.output
    assert not list(tmp_path.iterdir())


def test_progress_knows_its_share() -> None:
    """A quarter is a quarter."""
    progress = Progress(
        engine=1, steps_done=25, steps_all=100, orders_begun=3, orders_done=1, orders_all=9, retries=0
    )

    assert progress.share == 0.25


# ── the batch ───────────────────────────────────────────────────────────────────────────────────────────


def test_shipped_batch_has_all_kinds_of_orders() -> None:
    """Counted by hand, so that validator and judge can't agree on the same mistake."""
    endings = Counter(plan.ending for plan in plans_of_the_batch().values())

    assert endings == {DELIVERED: 258, REJECTED: 38, FAILED: 4}


def test_order_is_read_as_it_stands() -> None:
    """A good line becomes an order."""
    assert read_order(GOOD) == Order("T-1", "a@example.com", "DE", (Item("TIN-CEDAR", 2),))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not JSON"),
        (GOOD[:40], "not JSON"),
        ("[]", "no field 'number'"),
        (GOOD.replace("country", "land"), "no field 'country'"),
        (GOOD.replace("quantity", "count"), "no field 'quantity'"),
        (GOOD.replace("@", " at "), "customer is no e-mail address"),
        (GOOD.replace(ITEMS, "[]"), "no items"),
        (GOOD.replace(ITEMS, "7"), "no items"),
        (GOOD.replace("TIN-CEDAR", "TIN-OAK"), "unknown SKU"),
        (GOOD.replace('"TIN-CEDAR"', "[]"), "unknown SKU"),
        (GOOD.replace(": 2", ": 0"), "quantity is not a whole number from 1"),
        (GOOD.replace(": 2", ": true"), "quantity is not a whole number from 1"),
        (GOOD.replace(": 2", ": 1.5"), "quantity is not a whole number from 1"),
    ],
)
def test_invalid_line_is_refused_with_the_reason(line: str, reason: str) -> None:
    """Whatever stands in a line, it is an order or an InvalidOrder that says why."""
    with pytest.raises(InvalidOrder, match=f"^{reason}$"):
        read_order(line)


def test_plan_of_a_flaky_order_has_a_stage_for_each_call() -> None:
    """The second call to the carrier proves that the failure of the first is on record."""
    stages = plan_for(FLAKY).stages

    assert stages[-4:-2] == (frozenset({Unit("book carrier", 1)}), frozenset({Unit("book carrier", 2)}))


def test_catalogue_can_run_out_of_something() -> None:
    """There is a product that a plausible order exceeds."""
    assert min(product.stock for product in CATALOGUE.values()) < 2
    assert plan_for(OUT_OF_STOCK).reason == "out of stock"


# ── how the tests say it ───────────────────────────────────────────────────────────────────────────────


def plans_of_the_batch() -> dict[str, Plan]:
    """What must happen to the shipped orders."""
    return {order: plan_for(line) for order, line in numbered(BATCH)}


def files_in(folder: Path, orders: Path) -> Files:
    """The files of a demo in that folder."""
    files = Files(
        orders=orders,
        database=folder / "demo.db",
        effects=folder / "demo.effects.jsonl",
        engine_log=folder / "demo.engine.log",
    )
    files.effects.touch()
    return files
