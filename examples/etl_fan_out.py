"""ETL with fan-out: a CSV of 20,000 sales is cut into parts, which are cleaned in parallel and added up.

Each part is a child workflow with steps of its own, so that what fails is tried again for that part alone:
one part needs a second attempt here, as the service with the exchange rates is down at first. The total is
checked against a sum taken from the source directly.

    python etl_fan_out.py [FOLDER]    # leaves sales.csv, its parts and report.csv in FOLDER, if given
"""

import csv
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tempolite import ActivityContext, RetryPolicy, Tempolite, WorkflowContext, activity

ROWS = 20_000
PARTS = 4
RATES = {"EUR": 100, "USD": 92, "CHF": 105}  # hundredths of a euro
Totals = dict[str, int]


class RatesUnavailable(Exception):
    pass


# ── activities: they run in worker processes, on all cores ──────────────────────────────────────────────────


def split(source: str, parts: int) -> list[str]:
    """Cuts the file into parts of its own, row by row in turn."""
    targets = [f"{source.removesuffix('.csv')}-{number}.csv" for number in range(1, parts + 1)]
    with open(source, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    for number, target in enumerate(targets):
        write_rows(target, [header, *rows[number::parts]])
    return targets


def fetch_rates(ctx: ActivityContext, part: str) -> dict[str, int]:
    """Asks a service, which is down when part 2 asks for the first time."""
    if part.endswith("-2.csv") and ctx.attempt == 1:
        raise RatesUnavailable("503")
    return RATES


def convert(part: str, rates: dict[str, int]) -> tuple[Totals, int]:
    """Cents by region, and how many rows had to be left out."""
    totals: Counter[str] = Counter()
    bad = 0
    with open(part, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["amount"].isdecimal():
                bad += 1
            else:
                totals[row["region"]] += int(row["amount"]) * rates[row["currency"]]
    return dict(totals), bad


def write_report(target: str, totals: Totals) -> str:
    write_rows(target, [["region", "cents"], *([region, str(totals[region])] for region in sorted(totals))])
    return target


def write_rows(path: str, rows: list[list[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


# ── workflows ───────────────────────────────────────────────────────────────────────────────────────────────

patiently = RetryPolicy(max_attempts=5, initial_interval=0.05, retry_on=(RatesUnavailable,))


def load_part(ctx: WorkflowContext, part: str) -> tuple[Totals, int]:
    rates = ctx.activity("rates", activity(fetch_rates, retry=patiently), part).get()
    return ctx.activity("convert", convert, part, rates).get()


def load_sales(ctx: WorkflowContext, source: str, target: str) -> tuple[Totals, int]:
    parts = ctx.activity("split", split, source, PARTS).get()
    children = [ctx.workflow(f"part-{number}", load_part, part) for number, part in enumerate(parts, start=1)]
    totals: Counter[str] = Counter()
    bad = 0
    for part_totals, part_bad in ctx.wait_all(*children):
        totals.update(part_totals)
        bad += part_bad
    ctx.activity("report", write_report, target, dict(totals)).get()
    return dict(totals), bad


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────


def make_sales(path: Path) -> tuple[Totals, int]:
    """Makes the source, and says what must come out of it."""
    dice = random.Random(1)
    rows = [["region", "currency", "amount"]]
    totals: Counter[str] = Counter()
    bad = 0
    for _ in range(ROWS):
        region, currency, amount = dice.choice("NSEW"), dice.choice(list(RATES)), dice.randrange(1, 1_000)
        is_bad = dice.random() < 0.01
        rows.append([region, currency, "n/a" if is_bad else str(amount)])
        bad += is_bad
        totals[region] += 0 if is_bad else amount * RATES[currency]
    write_rows(str(path), rows)
    return dict(totals), bad


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source, target = folder / "sales.csv", folder / "report.csv"
    expected = make_sales(source)
    with Tempolite(folder / "etl.db") as tp:
        info = tp.execute(None, load_sales, str(source), str(target))
        totals, bad = info.get()
        for child in reversed(tp.workflows(parent=info.id)):
            attempts = max(event.attempt for event in child.history() if event.step == "rates")
            print(f"{child.id.removeprefix(info.id)}: {child.status}, rates in attempt {attempts}")
    for region, cents in sorted(totals.items()):
        print(f"{region}: {cents / 100:,.2f} €")
    print(f"{ROWS} rows, {bad} of them bad; totals are right: {(totals, bad) == expected}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
