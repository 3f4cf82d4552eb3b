"""An engine on a file and a client of it, in one process; nothing may be left of either."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tempolite import Client, Queue, SharedEngine, Tempolite
from tests.engine.conftest import EngineMaker, hang_guard, make_engine, nothing_left, path
from tests.gateway.workflows import KNOWN

__all__ = ["hang_guard", "make_engine", "nothing_left", "path"]

ClientMaker = Callable[..., Client]
SharedMaker = Callable[..., SharedEngine]


@pytest.fixture
def owner(make_engine: EngineMaker, path: Path) -> Tempolite:
    """The engine that has the file."""
    return make_engine(path, workflows=KNOWN)


@pytest.fixture
def make_client(nothing_left: None, path: Path) -> Iterator[ClientMaker]:
    """Makes clients of whoever has the file; closes them at the end."""
    clients: list[Client] = []

    def make(database: str | os.PathLike[str] = path, **options: Any) -> Client:
        clients.append(Tempolite.connect(database, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(owner: Tempolite, make_client: ClientMaker) -> Client:
    """A client of the owner."""
    return make_client()


@pytest.fixture
def make_shared(nothing_left: None, path: Path) -> Iterator[SharedMaker]:
    """Makes started members of those who share the file; closes them at the end."""
    members: list[SharedEngine] = []

    def make(**settings: Any) -> SharedEngine:
        settings.setdefault("queues", [Queue("default", kind="inline")])
        members.append(Tempolite.shared(path, workflows=KNOWN, **settings))
        return members[-1].start()

    yield make
    for member in members:
        member.close(timeout=5)
