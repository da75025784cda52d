"""The review queue as a small web page on this machine: a person accepts or corrects labels that are not sure."""

import hmac
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from plait.console.thumbnails import thumbnail
from plait.content.labelling.review_queue import Reviewed, ReviewQueue
from plait.errors import DataError

SHOWN = 12
"""Creatives on a page, least sure first."""
MOST_BYTES = 4_000
"""Of a decision that is sent."""
_COOKIE = "plait_review"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ReviewPage:
    """The page and its answers.

    Everything asks for a token, which is new at every start and stands in the address that the command prints; only
    requests to this machine's own names are answered. What creatives say is escaped, and the page runs no scripts.

    Args:
        queue: what waits.
        root: folder that the creatives' files are relative to.
    """

    def __init__(self, queue: ReviewQueue, root: Path) -> None:
        self.token = secrets.token_urlsafe(24)
        self._queue, self._root = queue, root
        self._labels = {" > ".join(path): path for path in queue.taxonomy.place}
        environment = Environment(loader=PackageLoader("plait.console"), autoescape=True, undefined=StrictUndefined)
        self._template = environment.get_template("review.html")

    def app(self) -> Starlette:
        """The application."""
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
        routes = [Route("/", self.show, methods=["GET"]), Route("/decide", self.decide, methods=["POST"])]
        return Starlette(routes=routes, middleware=[hosts])

    async def show(self, request: Request) -> Response:
        """What waits; the address with the token leads to one without it."""
        if self._matches(request.query_params.get("token", "")):
            answer: Response = RedirectResponse("/", 303)
            answer.set_cookie(_COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        if not self._matches(request.cookies.get(_COOKIE, "")):
            return _refused()
        waiting = self._queue.waiting()
        page = self._template.render(
            rows=[self._row(row) for row in waiting[:SHOWN]],
            waiting=len(waiting),
            decided=len(self._queue.examples()),
            labels=list(self._labels),
            token=self.token,
            problem=request.query_params.get("problem", "")[:200],
        )
        return HTMLResponse(page, headers=_HEADERS)

    async def decide(self, request: Request) -> Response:
        """Keep one decision: the label that was chosen, or the one proposed where none was."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return PlainTextResponse("too long", 413)
        form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        if not (self._matches(request.cookies.get(_COOKIE, "")) and self._matches(form.get("token", ""))):
            return _refused()
        said = form.get("label", "").strip() or form.get("proposed", "")
        if (path := self._labels.get(said)) is None:
            found = self._queue.taxonomy.search(said)
            path = found[0] if len(found) == 1 else None
        try:
            if path is None:
                raise DataError(f"no single label is called {said!r}")
            self._queue.decide(form.get("creative_id", ""), path)
        except DataError as error:
            return RedirectResponse(f"/?{urlencode({'problem': str(error)})}", 303)
        return RedirectResponse("/", 303)

    def _row(self, row: Reviewed) -> dict[str, Any]:
        return {
            "creative_id": row.creative_id,
            "text": row.text,
            "proposed": " > ".join(row.proposed),
            "sure": f"{row.confidence[-1]:.0%}",
            "picture": thumbnail(self._root / row.media) if row.media else None,
        }

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _refused() -> Response:
    return PlainTextResponse("open the address that `plait understand review --web` printed", 403)
