"""``tempolite.contrib.starlette``: an engine that lives as long as the application does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tempolite import EngineClosed, Queue, Tempolite, WorkflowContext
from tempolite.contrib.starlette import engine_of, tempolite_lifespan

INLINE = [Queue("default", kind="inline")]


def double(ctx: WorkflowContext, number: int) -> int:
    return number * 2


async def run_double(request: Request) -> JSONResponse:
    info = await engine_of(request).aexecute(None, double, 21)
    return JSONResponse(await info.aget(timeout=10))


ROUTES = [Route("/double", run_double), Mount("/below", routes=[Route("/double", run_double)])]


def test_requests_find_the_engine_of_their_application(nothing_left: None, path: Path) -> None:
    """In mounted applications too."""
    app = Starlette(routes=ROUTES, lifespan=tempolite_lifespan(path, queues=INLINE))

    with TestClient(app) as client:
        answers = [client.get(at).json() for at in ("/double", "/below/double")]

    assert answers == [42, 42]
    with Tempolite(path, queues=INLINE, workflows=[double]) as engine:
        assert engine.count() == 2


def test_the_engine_ends_with_the_application(nothing_left: None) -> None:
    """It is started before the first request and closed after the last one; made by whoever knows how."""
    made: list[Tempolite] = []

    def make() -> Tempolite:
        made.append(Tempolite(queues=INLINE))
        return made[-1]

    app = Starlette(routes=ROUTES, lifespan=tempolite_lifespan(make))
    assert made == []

    with TestClient(app) as client:
        assert client.get("/double").json() == 42
        assert made[0].count() == 1

    with pytest.raises(EngineClosed):
        made[0].count()


def test_running_activities_get_the_drain_of_the_lifespan(nothing_left: None) -> None:
    """Not the default of ``close``."""
    given: list[float] = []

    class Listening(Tempolite):
        async def aclose(self, timeout: float = -1) -> None:
            given.append(timeout)
            await super().aclose(0)

    with TestClient(Starlette(lifespan=tempolite_lifespan(lambda: Listening(queues=INLINE), drain=7))):
        pass

    assert given[0] == 7


def test_an_application_with_a_lifespan_of_its_own_has_both(nothing_left: None) -> None:
    """One stands inside the other, and their states are one."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with tempolite_lifespan(queues=INLINE)(app) as state:
            yield {**state, "name": "mine"}

    async def name(request: Request) -> JSONResponse:
        return JSONResponse([request.state.name, await engine_of(request).acount()])

    with TestClient(Starlette(routes=[Route("/", name)], lifespan=lifespan)) as client:
        assert client.get("/").json() == ["mine", 0]


def test_fastapi_gives_the_engine_as_a_dependency(nothing_left: None) -> None:
    """``Depends(engine_of)``."""
    app = FastAPI(lifespan=tempolite_lifespan(queues=INLINE))

    @app.get("/")
    async def count(tp: Any = Depends(engine_of)) -> int:  # noqa: B008 - FastAPI's way
        return int(await tp.acount())

    with TestClient(app) as client:
        assert client.get("/").json() == 0


def test_an_application_without_an_engine_is_told_so(nothing_left: None) -> None:
    """With the remedy."""
    with (
        TestClient(Starlette(routes=ROUTES)) as client,
        pytest.raises(LookupError, match="lifespan="),
    ):
        client.get("/double")


def test_two_applications_may_share_an_engine(nothing_left: None, path: Path) -> None:
    """As two processes do that serve one service: whichever comes first runs it."""
    apps = [
        Starlette(
            routes=ROUTES, lifespan=tempolite_lifespan(path, shared=True, queues=INLINE, workflows=[double])
        )
        for _ in range(2)
    ]

    with TestClient(apps[0]) as first, TestClient(apps[1]) as second:
        answers = [client.get("/double").json() for client in (first, second)]

    assert answers == [42, 42]
