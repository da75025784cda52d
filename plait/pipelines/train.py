"""The training stage: a recipe and the workspace's data to a registered model."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plait import seeding
from plait.config import merge
from plait.data.artifacts import write_atomically
from plait.errors import ConfigError, PlaitError, TrainingError
from plait.models.config import AlignedConfig
from plait.models.loading import WEIGHTS_FILE
from plait.pipelines.model_kinds import ModelKind, RankerKind, model_kind
from plait.pipelines.project import Project
from plait.pipelines.results import git_commit
from plait.registry import PRODUCTION, Registry
from plait.telemetry import console
from plait.training import CurvePoint, Recipe, TrainingResult, load_recipe_by_name
from plait.training.checkpoint import Checkpoints, load_tensors
from plait.training.loop import BEST_FILE, CHECKPOINTS_FOLDER, result_of
from plait.training.recipe import parse_recipe
from plait.training.task import to_minimise
from plait.training.warm_start import start_from_weights, starting_weights

_RUN_FILE = "run.json"
_RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A finished run."""

    name: str
    """In the registry, and of the run's folder."""
    run: Path
    """Folder of the run: `log.jsonl`, checkpoints, weights, `tensorboard/`."""
    model: nn.Module
    """The best weights, in evaluation mode."""
    recipe: Recipe
    result: TrainingResult
    version: int | None
    """In the registry; None if it was not registered."""
    reused: bool
    """The run had been finished before, with the same recipe and data."""
    seconds: float
    """Training time, that of the model it started from and of its teacher included."""
    finished: bool = True
    """False: the run goes on, and these are its best weights so far."""

    @property
    def best_value(self) -> float:
        """What the validation window says of the best weights, as a number that is better when smaller."""
        best = next(point for point in reversed(self.result.curve) if point.step == self.result.best_step)
        return to_minimise(best.metrics, self.recipe.training.metric)

    @property
    def reference(self) -> str:
        """What `plait evaluate` and `plait serve` know it by."""
        return f"{self.name}@{self.version}" if self.version is not None else self.name


def train_model(
    project: Project,
    recipe: str,
    *,
    name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    register: bool = True,
    resume: bool = True,
    starts: Mapping[str, str] | None = None,
) -> TrainedModel:
    """Train a recipe on the workspace and register the best weights.

    A run that was killed goes on from its checkpoint; one that was finished with the same recipe and data is used as
    it is. If recipe or data differ, the run starts anew. A recipe with values to try (`[search]`) is trained with each
    of them; the one that the validation window likes best is the model.

    Args:
        project: the workspace.
        recipe: name under `[models]` of the workspace, of a shipped recipe, or the path of one.
        name: what to call the model; None for the recipe's name.
        overrides: values laid over the recipe's, by section.
        register: put the model in the registry. The first version of a name also becomes its `production`.
        resume: False to start anew whatever lies in the run's folder.
        starts: names of runs by recipe, for a recipe that starts from another one (`training.start_from`).

    Raises:
        ConfigError: the recipe is unknown or wrong.
        TrainingError: the run failed or was interrupted.
    """
    chosen = workspace_recipe(project, recipe, overrides)
    train = partial(_train_recipe, project, starts=starts or {}, resume=resume)
    name = name or Path(recipe).stem
    if not chosen.search:
        return train(chosen, name, register=register)
    tried, best = _search(chosen, name, train)
    if not _is_same_run(project.hidden / "runs" / name, best.run):
        shutil.rmtree(project.hidden / "runs" / name, ignore_errors=True)
        shutil.copytree(best.run, project.hidden / "runs" / name)
    taken = train(best.recipe, name, register=register, resume=True)
    return replace(taken, seconds=sum(one.seconds for one in tried), reused=all(one.reused for one in tried))


def _search(recipe: Recipe, name: str, train: Callable[..., TrainedModel]) -> tuple[list[TrainedModel], TrainedModel]:
    """Train every candidate: all of them, and the one with the best validation window."""
    candidates, outcomes = recipe.candidates(), []
    for place, (tried, candidate) in enumerate(candidates):
        console.print(f"[dim]{name}: trying {_in_words(tried)} ({place + 1} of {len(candidates)})[/]")
        outcomes.append(train(candidate, f"{name}.try-{place}", register=False))
    values = [outcome.best_value for outcome in outcomes]
    place = values.index(min(values))
    tried, _ = candidates[place]
    console.print(f"{name}: {_in_words(tried)} is the best of {len(candidates)} on the validation window")
    return outcomes, outcomes[place]


def _in_words(tried: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in tried.items())


def _is_same_run(run: Path, other: Path) -> bool:
    path = run / _RUN_FILE
    return path.exists() and path.read_bytes() == (other / _RUN_FILE).read_bytes() and (run / _RESULT_FILE).exists()


def _train_recipe(
    project: Project, chosen: Recipe, name: str, *, starts: Mapping[str, str], register: bool, resume: bool
) -> TrainedModel:
    """Train a recipe that leaves nothing to choose."""
    kind = model_kind(project, chosen)
    run = project.hidden / "runs" / name
    start = _train_start(project, chosen, starts, resume=resume)
    teacher = _train_teacher(project, chosen, resume=resume)
    _prepare(run, _identity(chosen, kind, start, teacher), resume=resume)
    torch.manual_seed(seeding.derive_seed(chosen.training.seed, "weights"))
    model = kind.build(chosen)
    done = _finished(run)
    if done is None:
        if teacher is not None:
            _teach(project, kind, teacher)
        result, version = _train_in(run, kind, model, chosen, start, resume=resume), None
    else:
        result, version = done
        model.load_state_dict(load_tensors(run / BEST_FILE))
    if register and version is None:
        version = _register(project, run, chosen, kind, result)
        _note(run, result, version)
    return TrainedModel(
        name=name,
        run=run,
        model=model.eval(),
        recipe=chosen,
        result=result,
        version=version if register else None,
        reused=done is not None,
        seconds=result.seconds + sum(one.seconds for one in (start, teacher) if one is not None),
    )


def _train_in(
    run: Path, kind: ModelKind, model: nn.Module, recipe: Recipe, start: TrainedModel | None, *, resume: bool
) -> TrainingResult:
    """Train to the end; the folder then holds the best weights, the log and the result."""
    if start is not None:
        start_from_weights(model, starting_weights(start.model), freeze=recipe.training.freeze_start)
    result = kind.train(model, recipe.training, run, resume=resume)
    shutil.rmtree(run / CHECKPOINTS_FOLDER, ignore_errors=True)
    _note(run, result, None)
    return result


def _train_start(project: Project, recipe: Recipe, starts: Mapping[str, str], *, resume: bool) -> TrainedModel | None:
    """The model that the recipe starts from, trained unless it has been; None where it starts from nothing."""
    start, seed = recipe.training.start_from, recipe.training.seed
    if start is None:
        return None
    aligned = isinstance(workspace_recipe(project, start).model, AlignedConfig)
    share = {} if aligned else _share(recipe)  # where no label is looked at, no label is missing
    name = starts.get(start, f"{_stem(start, share)}-start-{seed}")
    return train_model(
        project,
        start,
        name=name,
        overrides={"training": {"seed": seed, **share}, "features": recipe.features.model_dump()},
        register=False,
        resume=resume,
        starts=starts,
    )


def _train_teacher(project: Project, recipe: Recipe, *, resume: bool) -> TrainedModel | None:
    """The model whose probabilities the recipe learns from, trained unless it has been; None where it has no teacher.

    Raises:
        ConfigError: the teacher is no ranker.
    """
    teacher, seed, share = recipe.training.teacher, recipe.training.seed, _share(recipe)
    if teacher is None:
        return None
    overrides = {"training": {"seed": seed, **share}}
    if not isinstance(model_kind(project, workspace_recipe(project, teacher, overrides)), RankerKind):
        raise ConfigError(f"training.teacher: '{teacher}' is no ranker; name a recipe that gives probabilities")
    name = f"{_stem(teacher, share)}-teacher-{seed}"
    return train_model(project, teacher, name=name, overrides=overrides, register=False, resume=resume)


def _share(recipe: Recipe) -> dict[str, Any]:
    """The settings that draw a share of the training window; none where all of it is used."""
    training = recipe.training
    return {} if training.share == 1 else {"share": training.share, "share_of": training.share_of}


def _stem(recipe: str, share: Mapping[str, Any]) -> str:
    """What runs of a recipe that comes before another are called; those on a share of the window by that too."""
    return Path(recipe).stem + (f"-{share['share']:g}-of-{share['share_of']}" if share else "")


def _teach(project: Project, kind: ModelKind, teacher: TrainedModel) -> None:
    """Let a ranker learn from what its teacher says of the training window."""
    of_teacher = model_kind(project, teacher.recipe)
    if isinstance(kind, RankerKind) and isinstance(of_teacher, RankerKind):
        kind.teacher = of_teacher.teach(teacher.model)


def trained_so_far(project: Project, recipe: str, name: str, overrides: Mapping[str, Any]) -> TrainedModel | None:
    """What `train_model` with these arguments has come to, without training: for recipes that start from no other.

    A run that has not ended counts with its best weights so far and `finished` False; None where there are none, or
    where recipe or data have changed since.
    """
    chosen, run = workspace_recipe(project, recipe, overrides), project.hidden / "runs" / name
    kind = model_kind(project, chosen)
    if not _is_of(run / _RUN_FILE, _identity(chosen, kind)):
        return None
    done = _finished(run)
    outcome = done or _unfinished(run, chosen)
    if outcome is None:
        return None
    result, version = outcome
    model = kind.build(chosen)
    model.load_state_dict(load_tensors(run / BEST_FILE))
    return TrainedModel(
        name=name,
        run=run,
        model=model.eval(),
        recipe=chosen,
        result=result,
        version=version,
        reused=True,
        seconds=result.seconds,
        finished=done is not None,
    )


def workspace_recipe(project: Project, recipe: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a model under `[models]` of the workspace, else of that name or path.

    Raises:
        ConfigError: there is no such recipe, or a value is wrong.
    """
    values = dict(overrides or {})
    settings = project.workspace.models.get(recipe)
    if settings is None:
        return load_recipe_by_name(recipe, project.root, values)
    return load_recipe_by_name(settings.recipe, project.root, merge(settings.overrides, values))


def _identity(
    recipe: Recipe, kind: ModelKind, start: TrainedModel | None = None, teacher: TrainedModel | None = None
) -> dict[str, Any]:
    """What makes two runs the same: recipe, data, and the recipes that it starts from and learns from."""
    identity: dict[str, Any] = {"recipe": recipe.to_dict(), "data": kind.data.name}
    if kind.groups:
        identity["feature_groups"] = dict(kind.groups)
    if start is not None:
        identity["start"] = start.recipe.to_dict()
        start_data = json.loads((start.run / _RUN_FILE).read_text(encoding="utf-8"))["data"]
        if start_data != kind.data.name:
            identity["start data"] = start_data
    if teacher is not None:
        identity["teacher"] = json.loads((teacher.run / _RUN_FILE).read_text(encoding="utf-8"))
    return identity


def _is_of(path: Path, identity: Mapping[str, Any]) -> bool:
    """Whether the run whose identity lies in `path` is this one.

    A setting that did not exist then counts as what it is when nothing is said, so that new settings start no run anew.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in ("recipe", "start"):
            if key in found:
                found[key] = parse_recipe(found[key], str(path)).to_dict()
    except (FileNotFoundError, ValueError, AttributeError, PlaitError):
        return False
    return bool(found == identity)


def _prepare(run: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
    """Empty the run's folder unless it holds a run of the same recipe and data that may go on."""
    path = run / _RUN_FILE
    if resume and _is_of(path, identity):
        return
    if path.exists():
        why = "recipe or data changed" if resume else "asked to start anew"
        console.print(f"[dim]{run.name}: {why}; the earlier run in {run} is discarded[/]")
    shutil.rmtree(run, ignore_errors=True)
    write_atomically(path, json.dumps(identity, indent=1, ensure_ascii=False, sort_keys=True))


def _finished(run: Path) -> tuple[TrainingResult, int | None] | None:
    path = run / _RESULT_FILE
    if not path.exists() or not (run / BEST_FILE).exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        curve = [CurvePoint(**point) for point in content["result"].pop("curve")]
        return TrainingResult(**content["result"], curve=curve), content["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}); start anew with --no-resume") from error


def _unfinished(run: Path, recipe: Recipe) -> tuple[TrainingResult, None] | None:
    """What a run has come to at its last checkpoint; None before the first evaluation."""
    checkpoint = Checkpoints(run / CHECKPOINTS_FOLDER).load()
    if checkpoint is None or checkpoint[0].best_value is None:
        return None
    return result_of(checkpoint[0], recipe.training), None


def _note(run: Path, result: TrainingResult, version: int | None) -> None:
    write_atomically(run / _RESULT_FILE, json.dumps({"result": asdict(result), "version": version}, indent=1))


def _register(project: Project, run: Path, recipe: Recipe, kind: ModelKind, result: TrainingResult) -> int:
    """Put the run's best weights in the registry; the first version of a name becomes its `production`."""
    best = next(point for point in reversed(result.curve) if point.step == result.best_step)
    manifest = {
        "data_fingerprint": kind.data.name,
        "config": recipe.to_dict(),
        "metrics": {key: value for key, value in sorted(best.metrics.items()) if math.isfinite(value)},
        "commit": git_commit(),
        "measured_on": "validation window",
        **kind.fingerprints(),
        "feature_groups": dict(kind.groups),
        "training": {key: value for key, value in asdict(result).items() if key != "curve"},
        "simulated": project.workspace.simulated,
    }
    registry = Registry(project.hidden / "registry")
    version = registry.register(run.name, {WEIGHTS_FILE: run / BEST_FILE, **kind.describe(recipe, run)}, manifest)
    if PRODUCTION not in registry.aliases(run.name):
        registry.set_alias(run.name, PRODUCTION, version)
    return version
