"""The programs of ``docs/embedding.md`` are run as they stand there."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tempolite import Tempolite

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
PROGRAM_S = 30

DJANGO_VISIT = """
import asyncio, django, django_app
from django.test import AsyncClient, Client

django.setup()
client = Client()
print(client.post("/orders/a").json(), client.get("/orders/a").json())
print(asyncio.run(AsyncClient().get("/async/orders/a")).json())
"""

FLASK_VISIT = """
from flask_app import app

client = app.test_client()
print(client.post("/orders/a").json, client.get("/orders/a").json)
"""


def blocks() -> dict[str, str]:
    """The page's programs by the names in their first lines."""
    found = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return dict(found)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where they lie; it is the working directory, and they can be imported."""
    for name, text in blocks().items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in blocks():
        sys.modules.pop(name.removesuffix(".py"), None)


def run(script: str, folder: Path) -> str:
    """What a program prints; it ends by itself, well, and without a word of complaint."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_program_of_the_page_is_known_here() -> None:
    """None is added without being run; each block of code has a name."""
    names = {"orders", "starlette_app", "fastapi_app", "order_daemon", "engine", "flask_app", "django_app"}

    assert set(blocks()) == {f"{name}.py" for name in (*names, "log_setup")}
    assert len(blocks()) == PAGE.read_text("utf-8").count("```python")


@pytest.mark.parametrize("name", ["starlette_app", "fastapi_app"])
def test_applications_of_the_page_serve_orders(programs: Path, name: str) -> None:
    """An order is posted, and its outcome is read."""
    app = importlib.import_module(name).app

    with TestClient(app) as client:
        posted = client.post("/orders/a")
        read = client.get("/orders/a")

    assert (posted.status_code, posted.json()) == (202, {"id": "a"})
    assert read.json() == {"result": "receipt for a"}


@pytest.mark.parametrize(("visit", "lines"), [(FLASK_VISIT, 1), (DJANGO_VISIT, 2)], ids=["flask", "django"])
def test_wsgi_applications_of_the_page_serve_orders(programs: Path, visit: str, lines: int) -> None:
    """The engine is made by the first view that needs it, and closed at the end of the process."""
    printed = run(visit, programs).splitlines()

    assert printed[0] == "{'id': 'a'} {'result': 'receipt for a'}"
    assert printed[1:] == ["{'result': 'receipt for a'}"] * (lines - 1)
    with Tempolite(programs / "orders.db") as engine:
        assert engine.get("a").status == "COMPLETED"


def test_the_daemon_of_the_page_runs_until_sigterm(programs: Path) -> None:
    """Its log has what the worker process says; after the signal it ends in order."""
    with subprocess.Popen(
        [sys.executable, "order_daemon.py"], cwd=programs, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stderr is not None
        said = []
        for line in program.stderr:
            said.append(line.strip())
            if "running until a signal comes" in line:
                break
        program.send_signal(signal.SIGTERM)
        said += [line.strip() for line in program.stderr]
        ended = program.wait(PROGRAM_S)

    assert said == [
        "INFO tempolite.workflow begins",
        "INFO tempolite.activity charging first",
        "INFO tempolite running until a signal comes",
        "INFO tempolite SIGTERM: running activities get 20 s",
    ]
    assert ended == 0


def test_the_log_lines_of_the_page_name_the_run(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those of records that belong to none."""
    set_up: Any = importlib.import_module("log_setup").set_up
    orders: Any = importlib.import_module("orders")
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    set_up()
    root.manager._clear_cache()  # type: ignore[attr-defined]

    with Tempolite() as engine:
        engine.execute("a", orders.process_order, "a").get(timeout=PROGRAM_S)
    logging.getLogger("mine").info("no run")

    assert capsys.readouterr().err.splitlines() == [
        "tempolite.workflow a/1 None#1: begins",
        "tempolite.activity a/1 charge#1: charging a",
        "mine -/- -#-: no run",
    ]
