"""A prediction API that accepts every candidate: one route on loopback, whose newest session and model a test sets."""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from core.sessions import close_of


class PredictionStandIn:
    """Answers `POST /predict-entry` at `url`. `asked` lists the symbols as they came."""

    def __init__(self, session: str = "", model_version: str = "1") -> None:
        self.session, self.model_version = session, model_version
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, symbol: str) -> dict[str, Any]:
        """Enter, the likelier the earlier in the alphabet."""
        self.asked.append(symbol)
        return {
            "symbol": symbol,
            "session": self.session,
            "model_version": self.model_version,
            "model_name": "entry-filter",
            "probability": 1 - ord(symbol[0]) / 256,
            "predicted_return": 0.001,
            "signal": "enter",
            "feature_timestamp": close_of(dt.date.fromisoformat(self.session)).isoformat(),
        }


class _Handler(BaseHTTPRequestHandler):
    stand_in: PredictionStandIn

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(self.stand_in.answer(asked["symbol"])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_args: object) -> None:
        """Keep the test output quiet."""
