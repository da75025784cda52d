"""From a registered model and the data it was trained on to an engine that answers requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plait.config import Workspace
from plait.data.arrays import load_arrays
from plait.errors import ArtifactError
from plait.features.dataset import EncodedDataset
from plait.features.online import OnlineFeatures
from plait.models.loading import load_model, load_spec
from plait.models.ranker import SplitRanker
from plait.registry import RegisteredModel
from plait.retrieval.creatives import ItemCreatives
from plait.retrieval.item_to_item import ItemToItem
from plait.retrieval.neighbours import EmbeddingNeighbours
from plait.retrieval.popular import Popular
from plait.retrieval.protocol import Source
from plait.retrieval.vector_index import TextNeighbours
from plait.retrieval.window import item_rows_of_codes, objective_values, unwanted_actions, unwanted_codes
from plait.serving.ad_auction import AdAuction
from plait.serving.engine import Catalogue, EngineSettings, RankingEngine
from plait.serving.histories import Histories
from plait.serving.scoring import TorchScorer, item_vectors
from plait.serving.split_scoring import SplitScorer


@dataclass(frozen=True, slots=True)
class ServedData:
    """What lies beside a model on disk."""

    encoded: Path
    """The encoded samples that it was trained on."""
    retrieval: Path
    """What `build_retrieval` made of them."""
    groups: tuple[Path, ...] = ()
    """The derived feature groups that the model reads."""


def load_engine(
    registered: RegisteredModel, data: ServedData, workspace: Workspace, *, candidates: int, log: bool
) -> RankingEngine:
    """An engine for one version of one model.

    Args:
        registered: the model.
        data: of its training.
        workspace: what objectives are worth.
        candidates: how many are ranked per request.
        log: keep what the request log needs.

    Raises:
        ArtifactError: model and data do not belong together, or a file is missing or damaged.
    """
    dataset = EncodedDataset.open(data.encoded, data.groups)
    if load_spec(registered) != dataset.spec:
        raise ArtifactError(f"{registered.reference} was trained on other data than {data.encoded}; train it again")
    model = load_model(registered)
    online = OnlineFeatures.open(data.encoded, groups=data.groups)
    return RankingEngine(
        registered.name,
        str(registered.version),
        online=online,
        scorer=SplitScorer(model) if isinstance(model, SplitRanker) else TorchScorer(model),
        sources=_sources(model, online, data.retrieval),
        catalogue=_catalogue(dataset, data.retrieval, workspace),
        histories=Histories(dataset, load_arrays(data.retrieval / "events", "available")["available"], online),
        settings=EngineSettings(
            _values(dataset, workspace), candidates, auctions=_auctions(data.retrieval, workspace), log=log
        ),
    )


def _sources(model: nn.Module, online: OnlineFeatures, folder: Path) -> Sequence[Source]:
    sources: list[Source] = [Popular.load(folder / "popular"), ItemToItem.load(folder / "item_to_item")]
    vectors_RD = item_vectors(model, online.tables.item_rows_RI)
    if vectors_RD is not None:
        sources.append(EmbeddingNeighbours.from_embeddings(vectors_RD))
    if (folder / "text").exists():
        sources.append(TextNeighbours.load(folder / "text"))
    return sources


def _catalogue(dataset: EncodedDataset, folder: Path, workspace: Workspace) -> Catalogue:
    return Catalogue(
        ItemCreatives.load(folder / "creatives"),
        item_rows_of_codes(dataset),
        unwanted_codes(dataset, unwanted_actions(workspace)),
    )


def _auctions(folder: Path, workspace: Workspace) -> Mapping[str, AdAuction]:
    """One auction for all scenarios of the kind `ads`, where the workspace says what a bid pays for."""
    if workspace.ads.objective is None:
        return {}
    bid_C = load_arrays(folder / "creatives", "bids")["bids"]
    auction = AdAuction(workspace.ads, workspace.objective_names().index(workspace.ads.objective), bid_C)
    return {scenario.name: auction for scenario in workspace.scenarios if scenario.kind == "ads"}


def _values(dataset: EncodedDataset, workspace: Workspace) -> NDArray[np.float64]:
    if list(dataset.spec.objectives) != workspace.objective_names():
        raise ArtifactError("the model's objectives are not those of plait.toml any more; train it again")
    return objective_values(workspace)
