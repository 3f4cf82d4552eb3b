"""The program that is killed: 200 runs, several steps each; started again it goes on with the same file.

What it has acknowledged it does not execute again: those runs
must go on by themselves.
"""

from __future__ import annotations

import json
import os

from tempolite import Queue, Tempolite
from tests.crash.logs import append_acknowledged, read_acknowledged
from tests.crash.orders import FOLDER_VARIABLE, LIFE_VARIABLE, folder, order, ship

RUNS = 200
WORKERS = 2
PATIENCE_S = 25


def main(where: str, life: str) -> None:
    """Executes what has not been acknowledged, and waits for all that was."""
    os.environ[FOLDER_VARIABLE], os.environ[LIFE_VARIABLE] = where, life
    acknowledged = read_acknowledged(folder() / "acknowledged")
    runs = [f"order-{number:03}" for number in range(RUNS)]
    queue = Queue("default", workers=WORKERS)
    with Tempolite(folder() / "runs.db", queues=[queue], workflows=[order, ship]) as engine:
        for number, run in enumerate(runs):
            if run not in acknowledged:
                engine.execute(run, order, number)
                append_acknowledged(folder() / "acknowledged", run)
        results = {run: engine.get(run).get(timeout=PATIENCE_S) for run in runs}
    (folder() / "results").write_text(json.dumps(results))
