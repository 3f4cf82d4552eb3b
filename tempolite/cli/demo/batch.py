"""The program around the workflow: open the file, start every order, wait.

A run that exists is not started again, so the same program does for the first start and for the one after a
crash. ``python -m tempolite.cli.demo.batch DATABASE ORDERS`` runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tempolite import Tempolite
from tempolite.cli.demo.workflow import fulfil, ship


def main(database: str, orders: str) -> None:
    """Fulfils every order of the batch."""
    with Tempolite(database, workflows=[fulfil, ship]) as tp:
        for order, line in numbered(Path(orders)):
            tp.execute(order, fulfil, line)
        tp.wait()


def numbered(orders: Path) -> list[tuple[str, str]]:
    """The lines of a batch, each with the id that its workflow has."""
    lines = orders.read_text(encoding="utf-8").splitlines()
    return [(f"order-{number:03}", line) for number, line in enumerate(lines, start=1)]


if __name__ == "__main__":
    main(*sys.argv[1:])
