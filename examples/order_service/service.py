"""Orders over HTTP: they survive whatever happens to this process.

    pip install 'tempolite[starlette]' uvicorn
    ORDERS_FOLDER=/tmp uvicorn service:app --app-dir examples/order_service --workers 4

| request | answers |
|---|---|
| POST /orders | 202: it will be processed, once, however often it is posted; 400, 422: bad input |
| GET /orders/ID | 200 with its progress; 404 |
| POST /orders/ID/approval | 202: it goes on; 404; 409: it has ended; 400, 422: bad input |
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from orders import FOLDER, SIGNAL, Approval, Order, process_order
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tempolite import (
    ConnectionLost,
    EngineClosed,
    Queue,
    WorkflowAlreadyExists,
    WorkflowFinished,
    WorkflowInfo,
    WorkflowNotFound,
)
from tempolite.contrib.starlette import engine_of, tempolite_lifespan

DRAIN_S = 10.0
T = TypeVar("T")


async def create(request: Request) -> JSONResponse:
    """Answers once the order is durable; it waits for nobody."""
    order = await body_of(request, Order)
    info = await engine_of(request).aexecute(order.id, process_order, order)
    return JSONResponse({"id": info.id}, status_code=202)


# A plain function: Starlette runs it in a thread, where reading may take its time.
def show(request: Request) -> JSONResponse:
    """How far it is."""
    return JSONResponse(progress_of(engine_of(request).get(request.path_params["id"])))


async def approve(request: Request) -> JSONResponse:
    """Passes on what a person says; said twice by the same person, it counts once."""
    id, approval = request.path_params["id"], await body_of(request, Approval)
    await engine_of(request).asignal(id, SIGNAL, approval, dedup=approval.by)
    return JSONResponse({"id": id}, status_code=202)


def progress_of(info: WorkflowInfo[str]) -> dict[str, Any]:
    """An order, as clients see it."""
    status = info.status
    result = info.get(timeout=0) if status == "COMPLETED" else None
    return {
        "id": info.id,
        "status": status,
        "text": info.status_text,
        "progress": info.progress,
        "result": result,
    }


async def body_of(request: Request, kind: type[T]) -> T:
    """The request's body, looked at."""
    return msgspec.json.decode(await request.body(), type=kind)


def answer(status: int) -> Any:
    """Errors of the engine and of the input, as HTTP says them."""

    def handler(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=status)

    return handler


app = Starlette(
    routes=[
        Route("/orders", create, methods=["POST"]),
        Route("/orders/{id}", show),
        Route("/orders/{id}/approval", approve, methods=["POST"]),
    ],
    exception_handlers={
        msgspec.DecodeError: answer(400),
        msgspec.ValidationError: answer(422),
        WorkflowNotFound: answer(404),
        WorkflowFinished: answer(409),
        WorkflowAlreadyExists: answer(409),
        # Nobody serves just now: whoever asks again will be told.
        ConnectionLost: answer(503),
        EngineClosed: answer(503),
    },
    lifespan=tempolite_lifespan(
        FOLDER / "orders.db",
        shared=True,
        drain=DRAIN_S,
        workflows=[process_order],
        queues=[Queue("default", workers=1, slots=4)],
    ),
)
