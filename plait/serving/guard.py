"""What every request passes before it is parsed: arrival time, token, body size; and its count afterwards."""

import json
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plait.serving.auth import Authoriser
from plait.serving.metrics import ServerMetrics
from plait.serving.schemas import MAX_BODY_BYTES

_PATHS = frozenset(
    {
        "/v1/recommend",
        "/v1/behaviours",
        "/v1/models",
        "/v1/models/reload",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }
)
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})


class Guard:
    """Plain ASGI middleware: no task or stream of its own between the request and its handler."""

    def __init__(self, app: ASGIApp, authoriser: Authoriser, metrics: ServerMetrics) -> None:
        self._app = app
        self._authoriser = authoriser
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here with 401, 413 or 415."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["plait.arrived"] = started
        status = 500

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, count)
        finally:
            path = scope["path"] if scope["path"] in _PATHS else "other"
            self._metrics.answered(path, status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if scope["path"] not in _OPEN_PATHS and not self._authoriser.allows(_text(headers.get(b"authorization"))):
            await _refuse(send, 401, "a valid bearer token is needed: Authorization: Bearer ...", b"Bearer")
            return
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
            await _refuse(send, 413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if scope["method"] == "POST" and declared != b"0" and kind != b"application/json":
            # Also what keeps a web page in a browser on this machine from posting here without being asked.
            await _refuse(send, 415, f"found content type '{kind.decode('latin-1')}', expected application/json")
            return
        body = await _read(receive)
        if body is None:
            await _refuse(send, 413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return
        await self._app(scope, _Replay(body, receive), send)


class _Replay:
    """Hands a body that was read already to the application, then what the client sends further."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it passes the limit."""
    parts, size = [], 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _refuse(send: Send, status: int, error: str, challenge: bytes | None = None) -> None:
    content: dict[str, Any] = {"error": error, "problems": []}
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if challenge is not None:
        headers.append((b"www-authenticate", challenge))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
