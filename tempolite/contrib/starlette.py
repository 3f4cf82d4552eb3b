"""Starlette and FastAPI: an engine that lives as long as the application does.

::

    app = Starlette(routes=routes, lifespan=tempolite_lifespan("orders.db", workflows=[process_order]))

    async def create(request: Request) -> Response:
        info = await engine_of(request).aexecute(order_id, process_order, order)
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.requests import HTTPConnection

from tempolite.engine.engine import Tempolite

DRAIN_S = 30.0
"""What running activities get when the application ends, unless told."""

STATE = "tempolite"
"""Name of the engine in the lifespan's state, and so in ``request.state``."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]


def tempolite_lifespan(
    engine: str | os.PathLike[str] | Callable[[], Any] = ":memory:",
    *,
    shared: bool = False,
    drain: float = DRAIN_S,
    **settings: Any,
) -> Lifespan:
    """A lifespan for ``Starlette(lifespan=…)`` or ``FastAPI(lifespan=…)``: one engine for the application.

    It starts before the first request and closes after the last one, which is how a server ends on SIGTERM:
    running activities get ``drain`` seconds to finish, the rest goes on at the next start. A request that
    waits for an outcome holds that up; give such waits a time-out.

    Args:
        engine: where the database is, or what makes an engine that was not started yet.
        shared: several processes on one file, as with ``uvicorn --workers 4``: one of them runs the engine,
            and another one when that ends; see ``Tempolite.shared``.
        drain: seconds for running activities at the end.
        settings: those of :class:`Tempolite`, where ``engine`` is a path.

    Inside a lifespan of your own: ``async with tempolite_lifespan(…)(app) as state: yield {**state, …}``.
    """

    def make() -> Any:
        if callable(engine):
            return engine()
        return (Tempolite.shared if shared else Tempolite)(engine, **settings)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
        async with make() as started:
            try:
                yield {STATE: started}
            finally:
                await started.aclose(drain)

    return lifespan


def engine_of(connection: HTTPConnection) -> Any:
    """The engine of the application that serves this request or WebSocket; in FastAPI ``Depends(engine_of)``.

    Raises:
        LookupError: the application has no lifespan with an engine.
    """
    found = getattr(connection.state, STATE, None)
    if found is None:
        raise LookupError("the application has no engine: give it lifespan=tempolite_lifespan(...)")
    return found
