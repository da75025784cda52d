"""A small HTTP server that stands for a language model's endpoint."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], tuple[int, Any]]
"""Body of the question -> status and body of the answer."""


class Desk:
    """A server: what it was asked, and the most calls that were under way at once."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with desk._lock:
                    desk.asked.append(body)
                    desk.headers.append(self.headers["Authorization"])
                    desk._now += 1
                    desk.most = max(desk.most, desk._now)
                status, content = reply(body)
                with desk._lock:
                    desk._now -= 1
                raw = (content if isinstance(content, str) else json.dumps(content)).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except BrokenPipeError:
                    pass

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
