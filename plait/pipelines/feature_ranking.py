"""What each feature is worth to a model's MLP or experts, three ways, on the validation window."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plait import seeding
from plait.config.writing import toml_text
from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError
from plait.evaluation.agreement import kendall, spearman
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.calibrated import uncalibrated
from plait.models.config import TrunkConfig
from plait.models.dnn import DnnRanker
from plait.models.head import input_columns
from plait.models.hstu import HstuRanker
from plait.models.importance import FeatureWorth, Recorded, recording, screened
from plait.models.loading import describe_model, load_config, load_model
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.models import model_registry
from plait.pipelines.project import Project
from plait.pipelines.train import train_model
from plait.registry import RegisteredModel
from plait.schema import Split
from plait.telemetry import progress
from plait.training.data import Loader, draw_users

METHODS = ("permutation", "gradient", "gates")
_RANKING_FILE = "ranking.json"
_WINDOW = 5_000
"""An exposure takes another one's value from among so many exposures before it."""


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """What `plait features rank` can be asked for."""

    exposures: int = 20_000
    """Of the validation window, about."""
    repeats: int = 2
    """Draws of other exposures' values."""
    gates: float = 0.02
    """Weight of the price of open gates in a model that is trained with them; 0: no such model."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FeatureRanking:
    """Features and what they are worth; larger is more. Orders matter, sizes are each method's own."""

    model: str
    exposures: int
    """Of the validation window, that were looked at."""
    features: tuple[str, ...]
    worth: Mapping[str, tuple[float, ...]]
    """By method, in the order of the features: to the whole MLP or to all experts."""
    experts: Mapping[str, tuple[tuple[float, ...], ...]]
    """By method, of each expert; empty for a model without."""

    def agreement(self, coefficient: str = "spearman") -> dict[str, dict[str, float]]:
        """Between every two methods: rank correlation (`spearman`) or tau-b (`kendall`)."""
        measure = {"spearman": spearman, "kendall": kendall}[coefficient]
        values = {name: np.array(worth) for name, worth in self.worth.items()}
        return {one: {other: measure(values[one], values[other]) for other in values} for one in values}

    def places(self, method: str) -> list[int]:
        """Place of each feature, 1 for the most valuable."""
        order = np.argsort(-np.array(self.worth[method]), kind="stable")
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(1, len(order) + 1)
        return [int(place) for place in places]

    def best(self, method: str, keep: float) -> tuple[str, ...]:
        """The most valuable features, a share `keep` of all (rounded up), in their own order.

        Raises:
            ArtifactError: the ranking has no such method.
        """
        if method not in self.worth:
            raise ArtifactError(
                f"the ranking of {self.model} has {', '.join(self.worth)}, not {method}; plait features rank again"
            )
        most = int(np.ceil(keep * len(self.features)))
        return tuple(name for name, place in zip(self.features, self.places(method), strict=True) if place <= most)

    def save(self, folder: Path) -> Path:
        """Write `ranking.json`, agreement included."""
        content = asdict(self) | {
            "agreement": {name: self.agreement(name) for name in ("spearman", "kendall")},
        }
        path = folder / _RANKING_FILE
        write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False))
        return path

    @classmethod
    def load(cls, folder: Path) -> "FeatureRanking":
        """The ranking that `save` wrote.

        Raises:
            ArtifactError: there is none.
        """
        try:
            content: dict[str, Any] = json.loads((folder / _RANKING_FILE).read_text(encoding="utf-8"))
            return cls(
                model=content["model"],
                exposures=content["exposures"],
                features=tuple(content["features"]),
                worth={name: tuple(values) for name, values in content["worth"].items()},
                experts={name: tuple(map(tuple, values)) for name, values in content["experts"].items()},
            )
        except (OSError, KeyError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no ranking of features ({error!r}); plait features rank makes it"
            ) from error


def ranking_folder(project: Project, registered: RegisteredModel) -> Path:
    """Where the ranking of one version of a model lies."""
    return project.hidden / "features" / f"{registered.name}-{registered.version}"


def rank_features(project: Project, reference: str, options: RankingOptions) -> tuple[FeatureRanking, Path]:
    """Rank the features of a registered model and keep the ranking; see `docs/screening.md` for the three ways.

    Raises:
        ArtifactError: there is no such model, it is of other data, or of another family than dnn and hstu.
    """
    registered = model_registry(project).resolve(reference)
    config, model = load_config(registered), screened(uncalibrated(load_model(registered)), reference)
    if not isinstance(config, TrunkConfig):
        raise TypeError(f"found {type(config).__name__}, expected the sizes of a trunk")
    dataset = registered_dataset(project, registered)
    recorded, rows_B = _record(dataset, model, options)
    columns = input_columns(config, recorded.inputs_BX.shape[1], dataset.spec)
    worth = FeatureWorth(model, recorded)
    found = {
        "permutation": _permutation(dataset, worth, columns, rows_B, options),
        "gradient": {name: part_P.numpy() for name, part_P in worth.gradients(columns).items()},
    }
    gates = _gates(project, registered, options)
    if gates is not None:
        names = [name for name in columns if not config.deep_inputs or name in config.deep_inputs]
        openness = dict(zip(names, gates.tolist(), strict=True))
        found["gates"] = {name: np.array([openness.get(name, 0.0)]) for name in columns}
    ranking = FeatureRanking(
        model=registered.reference,
        exposures=len(rows_B),
        features=tuple(columns),
        worth={method: tuple(float(parts[0]) for parts in each.values()) for method, each in found.items()},
        experts={
            method: tuple(tuple(float(parts[place]) for parts in each.values()) for place in range(1, len(worth.parts)))
            for method, each in found.items()
            if method != "gates" and len(worth.parts) > 1
        },
    )
    return ranking, ranking.save(ranking_folder(project, registered))


def _record(
    dataset: EncodedDataset, model: DnnRanker | HstuRanker, options: RankingOptions
) -> tuple[Recorded, NDArray[np.int64]]:
    """The head's inputs on the validation window, in order of time, and the rows of the exposures."""
    users_U = draw_users(dataset, Split.VALID, options.exposures, options.seed)
    loader = Loader(dataset, Split.VALID, model, batch_size=2048, batch_events=32_768, users_U=users_U)
    parts, rows = [], []
    with torch.inference_mode(), recording(model) as seen, progress("record", len(loader)) as advance:
        for features, rows_B in loader.batches(loader.in_order()):
            batch = Batch.from_features(features)
            model(batch)
            parts.append(Recorded(**seen, labels_BT=batch.labels_BT, mask_BT=batch.mask_BT))
            rows.append(rows_B)
            advance(len(rows_B))
    rows_B, recorded = np.concatenate(rows), Recorded.join(parts)
    order_B = np.lexsort((rows_B, dataset.times(rows_B)))
    return recorded.take(torch.from_numpy(order_B)), rows_B[order_B]


def _permutation(
    dataset: EncodedDataset,
    worth: FeatureWorth,
    columns: Mapping[str, Sequence[int]],
    rows_B: NDArray[np.int64],
    options: RankingOptions,
) -> dict[str, NDArray[np.float32]]:
    draws = [earlier_donors(dataset.user_rows(rows_B), options.seed + repeat) for repeat in range(options.repeats)]
    found = {}
    with progress("permute", len(columns)) as advance:
        for name, own in columns.items():
            grown = [worth.permutation(list(own), torch.from_numpy(donor_B)) for donor_B in draws]
            found[name] = torch.stack(grown).mean(0).numpy()
            advance(1)
    return found


def earlier_donors(user_B: NDArray[np.int64], seed: int, window: int = _WINDOW) -> NDArray[np.int64]:
    """Whose values each exposure gets: one of the `window` exposures before it, of another user.

    So that no value tells of the user's own later behaviour, and none comes from a time that the exposure has not seen.
    The first exposures, which have no other user's before them, keep their own values.

    Args:
        user_B: users of exposures in order of time.
        seed: of the draw.
        window: how far to look back.
    """
    rng = seeding.generator(seed, "earlier donors")
    place_B = np.arange(len(user_B))
    donor_B = place_B.copy()
    for _ in range(20):
        same_B = np.flatnonzero(user_B[donor_B] == user_B)
        back_B = rng.integers(1, np.minimum(place_B[same_B], window).clip(min=1), endpoint=True)
        donor_B[same_B] = np.maximum(place_B[same_B] - back_B, 0)
    return np.where(user_B[donor_B] == user_B, place_B, donor_B)


def _gates(project: Project, registered: RegisteredModel, options: RankingOptions) -> NDArray[np.float32] | None:
    """How open the gates of the features are in the model, or in one of the same recipe that is trained with gates."""
    model = screened(uncalibrated(load_model(registered)), registered.reference)
    if model.head.reads.gate_F is None:
        if not options.gates:
            return None
        folder = ranking_folder(project, registered)
        recipe = _recipe(registered)
        recipe["model"] = recipe["model"] | {"deep_gates": options.gates}
        write_atomically(folder / "gates.toml", toml_text(recipe))
        name = f"{registered.name}-{registered.version}-gates"
        model = screened(train_model(project, str(folder / "gates.toml"), name=name, register=False).model, name)
    openness: NDArray[np.float32] = model.head.reads.openness().detach().numpy()
    return openness


def write_pruned(
    project: Project, reference: str, *, keep: float, method: str, recipe: Mapping[str, Any] | None, out: Path
) -> tuple[str, ...]:
    """Write a recipe whose MLP or experts read only the most valuable features; returns their names.

    Args:
        project: the opened workspace.
        reference: a registered model whose features were ranked.
        keep: which share of them.
        method: by which of the ranking's methods.
        recipe: what the selection is laid over; None for the model's own recipe.
        out: where the recipe goes.

    Raises:
        ArtifactError: there is no such model or ranking.
    """
    registered = model_registry(project).resolve(reference)
    kept = FeatureRanking.load(ranking_folder(project, registered)).best(method, keep)
    recipe = recipe or _recipe(registered)
    model = {**recipe["model"], "deep_inputs": list(kept), "deep_gates": 0.0}
    head = f"# The most valuable {keep:g} of the features of {registered.reference}, by {method}.\n\n"
    write_atomically(out, head + toml_text({**recipe, "model": model}))
    return kept


def _recipe(registered: RegisteredModel) -> dict[str, Any]:
    """What the model was trained by."""
    described = describe_model(registered)
    return {part: described[part] for part in described if part in ("model", "training", "features")}
