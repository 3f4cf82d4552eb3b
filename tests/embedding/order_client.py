"""The order service as its clients and its supervisor see it: over HTTP, and by signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SERVICE = Path(__file__).parents[2] / "examples" / "order_service"
GUARD_S = 30.0
LOOK_S = 0.02


class OrderService:
    """The service on a folder, started and ended as often as a test wants.

    The port is the test's and stays: between two lives requests wait for the next one.

    Args:
        folder: its database, and what it booked.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, workers: int = 1, pace_s: float = 0.0) -> None:
        """Starts it; requests are answered as soon as it listens. Each booking takes ``pace_s`` seconds."""
        fd = self._listener.fileno()
        command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(SERVICE), "--fd", str(fd)]
        settings = {"ORDERS_FOLDER": str(self.folder), "ORDERS_PACE": str(pace_s)}
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--workers", str(workers), "--no-access-log"],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                pass_fds=[fd],
            )

    def end(self, number: int) -> int:
        """Sends it a signal, and waits for its end."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)
        return self._process.wait(GUARD_S)

    def close(self) -> None:
        """Ends it however that goes."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GUARD_S)
            finally:
                self._process.kill()
        self._listener.close()

    def owner(self) -> int:
        """The process that runs the engine."""
        return int((self.folder / "orders.db-lock").read_text() or 0)

    def kill_owner(self) -> int:
        """Kills the process that runs the engine; gives its id."""
        owner = self.owner()
        os.kill(owner, signal.SIGKILL)
        return owner

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "log.txt").read_text()

    def bookings(self) -> list[str]:
        """What really happened: order and booking."""
        return sorted(path.name for path in self.folder.glob("bookings/*"))

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; asked again where no answer came, or nobody served, as clients do."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        until = time.monotonic() + GUARD_S
        while True:
            try:
                status, answer = self._ask_once(method, path, data)
                if status != 503:
                    return status, answer
            except (OSError, http.client.HTTPException):
                if time.monotonic() > until:
                    raise
            assert time.monotonic() < until, self.log()
            threading.Event().wait(LOOK_S)

    def _ask_once(self, method: str, path: str, data: bytes | None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*self._listener.getsockname(), timeout=GUARD_S)
        try:
            connection.request(method, path, data)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text.startswith(b"{") else text.decode()
        finally:
            connection.close()

    def order(self, id: str, item: str = "cup") -> int:
        """Posts an order."""
        return self.ask("POST", "/orders", {"id": id, "item": item, "quantity": 1, "cents": 300})[0]

    def approve(self, id: str, approved: bool = True, by: str = "ann") -> int:
        """Posts an approval."""
        return self.ask("POST", f"/orders/{id}/approval", {"approved": approved, "by": by})[0]

    def show(self, id: str) -> dict[str, Any]:
        """An order's progress."""
        status, found = self.ask("GET", f"/orders/{id}")
        assert status == 200, found
        return dict(found)

    def ended(self, id: str) -> str:
        """How an order ended; waits for that."""
        until = time.monotonic() + GUARD_S
        while (found := self.show(id))["status"] != "COMPLETED":
            assert time.monotonic() < until, (found, self.log())
            threading.Event().wait(LOOK_S)
        return str(found["result"])

    def wait_for_booking(self, name: str) -> None:
        """Returns when it was booked."""
        until = time.monotonic() + GUARD_S
        while name not in self.bookings():
            assert time.monotonic() < until, self.log()
            threading.Event().wait(LOOK_S)
