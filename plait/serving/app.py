"""The HTTP of the server: paths, limits, errors and documentation. What it says is decided in `service.py`."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import plait
from plait.errors import PlaitError
from plait.serving.auth import Authoriser
from plait.serving.guard import Guard
from plait.serving.schemas import (
    BehavioursRequest,
    BehavioursResponse,
    ErrorResponse,
    Problem,
    RecommendRequest,
    RecommendResponse,
    ReloadRequest,
)
from plait.serving.service import BusyError, RequestProblemError, Service, UnavailableError

_log = logging.getLogger("plait.serving")
_JSON = "application/json"
_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "The bearer token is missing or wrong."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    415: {"model": ErrorResponse, "description": "The content type is not application/json."},
    422: {"model": ErrorResponse, "description": "A field is wrong: which, what was found, what was expected."},
    503: {"model": ErrorResponse, "description": "Not ready, or too busy: ask again after `Retry-After` seconds."},
}


def create_app(service: Service, authoriser: Authoriser) -> FastAPI:
    """The server as an ASGI application; the first model is loaded when it starts."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(service.start())
        reloads = _reload_on_hangup(service)
        yield
        reloads()
        starting.cancel()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="Plait",
        version=plait.__version__,
        description="Recommendations inside a deadline.",
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from other hosts; the document itself is at /openapi.json
        redoc_url=None,
    )
    _add_recommendation(app, service)
    _add_models(app, service)
    _add_watching(app, service)
    _add_errors(app)
    app.add_middleware(Guard, authoriser=authoriser, metrics=service.metrics)
    return app


def _add_recommendation(app: FastAPI, service: Service) -> None:
    @app.post("/v1/recommend", responses={**_ERRORS, 200: {"model": RecommendResponse}}, response_class=Response)
    async def recommend(request: Request, asked: Annotated[RecommendRequest, Body()]) -> Response:
        """Items for a user in a scenario, best first, with what the answer had to do without."""
        arrived: float = request.scope["plait.arrived"]
        return Response(await service.recommend(asked, arrived), media_type=_JSON)

    @app.post("/v1/behaviours", responses={**_ERRORS, 200: {"model": BehavioursResponse}}, response_class=Response)
    async def behaviours(told: Annotated[BehavioursRequest, Body()]) -> Response:
        """Add behaviours to the users' states; an event that was sent before counts once."""
        return Response(await service.behaviours(told), media_type=_JSON)


def _add_models(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", responses={503: _ERRORS[503]})
    async def models() -> dict[str, Any]:
        """The model that answers, its scenarios and its objectives."""
        engine = service.engine
        if engine is None:
            raise UnavailableError(service.failure or "no model is loaded yet; see /readyz")
        about = {"name": engine.name, "version": engine.version, "reference": service.settings.model}
        return {"models": [{**about, "scenarios": list(engine.scenarios), "objectives": list(engine.objectives)}]}

    @app.post("/v1/models/reload", responses={**_ERRORS, 409: {"model": ErrorResponse, "description": "Under way."}})
    async def reload(asked: Annotated[ReloadRequest | None, Body()] = None) -> dict[str, str]:
        """Load a model aside, warm it up and let it take over without failing a request."""
        engine = await service.reload(asked.model if asked else None)
        return {"name": engine.name, "version": engine.version}


def _add_watching(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: _ERRORS[503]})
    async def ready() -> dict[str, str]:
        """A model is loaded and warmed up."""
        if service.engine is None:
            raise UnavailableError(service.failure or "the model is being loaded", 5)
        return {"status": "ready", "model": service.engine.name, "version": service.engine.version}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Latency by stage, requests by status, what was dropped, state size, the model and its calibration."""
        return Response(await asyncio.to_thread(service.scrape), media_type="text/plain; version=0.0.4")


def _add_errors(app: FastAPI) -> None:
    def answer(
        status: int, error: str, problems: tuple[Problem, ...] = (), retry_after_s: int | None = None
    ) -> Response:
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        content = ErrorResponse(error=error, problems=list(problems)).model_dump()
        return JSONResponse(content, status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problems = tuple(_problem(found) for found in error.errors())
        return answer(422, "the request is not as expected", problems)

    @app.exception_handler(RequestProblemError)
    async def unknown(_: Request, error: RequestProblemError) -> Response:
        return answer(422, str(error), (error.problem,))

    @app.exception_handler(UnavailableError)
    async def unavailable(_: Request, error: UnavailableError) -> Response:
        return answer(503, str(error), retry_after_s=error.retry_after_s)

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> Response:
        return answer(409, str(error))

    @app.exception_handler(PlaitError)
    async def refused(_: Request, error: PlaitError) -> Response:
        return answer(400, str(error))

    @app.exception_handler(HTTPException)
    async def no_such_path(request: Request, error: HTTPException) -> Response:
        return answer(error.status_code, f"{request.method} {request.url.path}: {error.detail}")

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        return answer(500, "the server failed on this request; its log says why")


def _problem(found: Any) -> Problem:
    field = ".".join(str(part) for part in found["loc"] if part != "body") or "body"
    expected = found["msg"].removeprefix("Value error, ").removeprefix("expected ")
    shown = "nothing" if found["type"] == "missing" else repr(found.get("input"))
    return Problem(field=field, found=_ascii(shown[:120]), expected=expected)


def _ascii(text: str) -> str:
    """`text` without halves of surrogate pairs, which no encoding can carry."""
    return text.encode("utf-8", "replace").decode()


def _reload_on_hangup(service: Service) -> Callable[[], None]:
    """Reload when the process gets SIGHUP; gives back what undoes it. Only the main thread can listen to signals."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await service.reload(None)
        except PlaitError as error:
            _log.error("not reloaded, the old model goes on: %s", error)

    def on_hangup() -> None:
        task = loop.create_task(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    try:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    except (ValueError, RuntimeError, NotImplementedError):
        return lambda: None

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGHUP)

    return stop
