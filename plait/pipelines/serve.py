"""The serving stage: what a server needs beside a model, and the server itself."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import uvicorn

from plait.config import ServingSettings
from plait.data.artifacts import inputs_of
from plait.errors import ArtifactError
from plait.features.assembly import FeatureTables
from plait.features.dataset import EncodedDataset
from plait.pipelines.embed import item_texts_by_row
from plait.pipelines.feature_groups import registered_groups
from plait.pipelines.project import Project
from plait.registry import PRODUCTION, RegisteredModel, Registry
from plait.retrieval.build import RetrievalSettings, build_retrieval
from plait.serving.app import create_app
from plait.serving.auth import authoriser
from plait.serving.engine import RankingEngine
from plait.serving.loading import ServedData, load_engine
from plait.serving.memory import keep_freed_memory
from plait.serving.promises import Promises
from plait.serving.request_log import RequestLog
from plait.serving.service import Service, ServiceSettings
from plait.serving.state import UserStates
from plait.telemetry import console

_VERSION = 2
"""Raised when what `build_retrieval` writes changes."""
_KEEP_ALIVE_S = 75
"""Longer than clients and proxies keep idle connections, so that none is closed under a request on its way."""
_WORKERS = 1
"""One ranking at a time: two at once take the interpreter from each other, and both end later."""
_SWITCH_S = 0.001
"""How long a thread may keep the interpreter while another wants it; Python's 5 ms is a tenth of the deadline."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What the command line lays over the workspace's settings."""

    host: str | None = None
    port: int | None = None
    model: str | None = None
    candidates: int | None = None
    request_log: bool | None = None

    def over(self, settings: ServingSettings) -> ServingSettings:
        """The settings with what was given on the command line."""
        given = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}
        return settings.model_copy(update=given)


def served_data(project: Project, registered: RegisteredModel) -> ServedData:
    """The data that a model was trained on, and what retrieval needs of it (built now unless it is there).

    Raises:
        ArtifactError: the data is not in this workspace any more.
    """
    derived = project.hidden / "derived"
    encoded = derived / "encoded" / registered.manifest.data_fingerprint
    made_of = inputs_of(encoded) if registered.manifest.data_fingerprint else None
    if made_of is None:
        raise ArtifactError(f"{registered.reference}: its data ({encoded}) is not there; train the model again")
    samples, tables = derived / "samples" / made_of["samples"], derived / "tables" / made_of["tables"]
    settings = RetrievalSettings()
    inputs = {
        "version": _VERSION,
        "encoded": encoded.name,
        "objectives": [objective.model_dump() for objective in project.workspace.objectives],
        "settings": settings.model_dump(),
    }
    texts = item_texts_by_row(project, FeatureTables.load(encoded).items.ids)
    if texts is not None:
        inputs["texts"] = texts[0]

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        build_retrieval(
            dataset,
            samples,
            tables,
            workspace=project.workspace,
            out=out,
            settings=settings,
            texts_RD=texts[1] if texts is not None else None,
        )

    groups = registered_groups(project, registered)
    return ServedData(encoded, project.store.build("retrieval", inputs, make), groups)


def served_model(project: Project, settings: ServingSettings) -> str:
    """What the settings say to serve, else the production version of the only registered model.

    Raises:
        ArtifactError: nothing is said, and there is no model or more than one.
    """
    if settings.model is not None:
        return settings.model
    names = Registry(project.hidden / "registry").names()
    if len(names) == 1:
        return f"{names[0]}@{PRODUCTION}"
    if not names:
        raise ArtifactError(f"{project.root}: no model is registered; train one first: plait train dnn")
    raise ArtifactError(
        f"{project.root}: {len(names)} models are registered ({', '.join(names)}); say which one to serve: "
        f"--model {names[0]}, or serving.model in plait.toml"
    )


def engine_loader(project: Project, settings: ServingSettings) -> Callable[[str], RankingEngine]:
    """What loads `name@alias` (or `name@version`) from the workspace's registry."""

    def load(reference: str) -> RankingEngine:
        registered = Registry(project.hidden / "registry").resolve(reference)
        data = served_data(project, registered)
        return load_engine(
            registered, data, project.workspace, candidates=settings.candidates, log=settings.request_log
        )

    return load


def create_service(project: Project, settings: ServingSettings) -> Service:
    """The service of a workspace: state from the journal, log where it is wanted; the model is loaded at its start."""
    return Service(
        ServiceSettings(settings.deadline_ms, settings.max_k, served_model(project, settings), workers=_WORKERS),
        engine_loader(project, settings),
        UserStates(project.hidden / "state" / "behaviours.jsonl"),
        request_log=RequestLog(project.hidden / "requests") if settings.request_log else None,
        promises=Promises(project.workspace.objectives),
    )


def run_server(project: Project, options: ServerOptions) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM).

    Raises:
        ServingError: the address can be reached from outside and no token is set.
    """
    settings = options.over(project.workspace.serving)
    allowed = authoriser(settings.host, settings.token_env)
    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH_S)
    keep_freed_memory()
    service = create_service(project, settings)
    app = create_app(service, allowed)
    console.print(
        f"serving {service.settings.model} on http://{settings.host}:{settings.port} "
        f"({'no token needed: loopback only' if allowed.open else f'bearer token from {settings.token_env}'}); "
        f"/readyz says when the model is loaded"
    )
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
