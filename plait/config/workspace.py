"""The workspace file, `plait.toml`: everything a user says about their platform, typed."""

import datetime
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from plait.config.content import ContentSettings
from plait.config.durations import Duration
from plait.config.embedding import EmbeddingSettings
from plait.config.loading import Settings, load_settings
from plait.errors import ConfigError
from plait.schema import TABLES, Meaning, TableName

WORKSPACE_FILE = "plait.toml"

TimeUnit = Literal["s", "ms", "us"]


class TableSettings(Settings):
    """Where one table lies and what its columns mean."""

    path: str
    """A file or a glob, relative to the workspace: Parquet or CSV."""
    rename: dict[str, str] = {}
    """Plait's column name = the file's column name, where they differ."""
    columns: dict[str, Meaning] = {}
    """Meaning of each extra column; columns that are not listed are ignored."""


class ScenarioSettings(Settings):
    """One place where items are shown."""

    name: str
    app: str = ""
    """The app that the scenario is part of."""
    kind: Literal["recommendation", "search", "ads", "games"] = "recommendation"


class ObjectiveSettings(Settings):
    """Something the platform wants to happen after an exposure."""

    name: str
    action: str
    """The behaviour that fulfils it."""
    parent: str | None = None
    """The objective that must come first (the step before it in the funnel)."""
    window: Duration = 86_400_000
    """How long after the exposure the behaviour still counts."""
    attribution: Literal["exposure_id", "last_touch"] = "last_touch"
    """`exposure_id`: only behaviours that name the exposure; `last_touch`: those first, then the user's latest exposure
    of the item within the window."""
    min_value: float | None = None
    """Only behaviours with at least this value count."""
    value: float = 0.0
    """What one is worth, in currency units (negative for what one wants to avoid)."""


class ActionSettings(Settings):
    """How behaviours of one action enter a sequence."""

    value_edges: list[float] = []
    """Edges that cut the action's value into buckets; each bucket is an action of its own to sequence models."""

    @model_validator(mode="after")
    def _edges_ascend(self) -> Self:
        if any(not low < high for low, high in pairwise(self.value_edges)):
            raise ValueError(f"value_edges is {self.value_edges}, expected each edge to be above the one before it")
        return self


class FeatureSettings(Settings):
    """How values become codes."""

    min_count: int = Field(2, ge=1)
    """Values that training sees less often share code 0, which thus learns what "rare or new" means."""
    max_values: int = Field(32, ge=1)
    """The most values of a multi-valued field (words of a query, tags of a list) in one row; those behind are cut."""


class CreativeSettings(Settings):
    """Where creative features come from, and what counts as an answer to a creative."""

    profiles: str | None = None
    """A table of creative fields of one's own (path or pattern, Parquet); left out, what `plait understand` wrote."""
    answer: str | None = None
    """The objective that says that a user answered to a creative; left out, `click`, or the first one without that."""
    half_life: Duration = 30 * 86_400_000
    """After this long an exposure counts half in a user's preference."""


class CheckSettings(Settings):
    """What `plait check` takes for plausible."""

    earliest: datetime.date = datetime.date(1990, 1, 1)
    """Times before the start of this day (UTC) are out of range."""
    latest: datetime.date | None = None
    """Times from the start of this day (UTC) on are out of range; left out, the end of next year."""
    max_quarantined: float = Field(0.1, ge=0, le=1)
    """A table with a larger share of its rows in quarantine is refused."""

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.latest is not None and self.latest <= self.earliest:
            raise ValueError(f"latest is {self.latest}, expected a day after earliest ({self.earliest})")
        return self


class SplitSettings(Settings):
    """How samples are divided by time."""

    kind: Literal["global_time", "per_user_time"] = "global_time"
    """`global_time`: two cuts of the calendar; `per_user_time`: the last shares of each user's own exposures."""
    valid: float = Field(0.1, gt=0, lt=1)
    """Share of the time span (or of each user's exposures) for choosing models."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share at the end for the final measurement."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid + test is {self.valid + self.test:g}, expected less than 1")
        return self


class ModelSettings(Settings):
    """A model of this workspace: a recipe and what differs from it."""

    recipe: str
    """Name of a shipped recipe, or a path to one relative to the workspace."""
    overrides: dict[str, Any] = {}
    """Values laid over the recipe's, by section."""


Pricing = Literal["second_price", "vcg", "first_price"]
"""What the winners of an auction pay."""


class AdsSettings(Settings):
    """The auction of scenarios of the kind `ads`."""

    objective: str | None = None
    """The objective that a creative's `bid` pays for, such as `click` (CPC) or `install` (CPA); left out, nobody holds
    an auction."""
    pricing: Pricing = "second_price"
    """`second_price`: what keeps the slot (GSP); `vcg`: what the ads behind lose; `first_price`: the bid."""
    reserve: float = Field(0.0, ge=0)
    """The least eCPM (1000 x bid x probability), currency units per thousand exposures; ads below it are not shown."""
    attention: list[float] = []
    """Each slot's share of the first one's attention, falling; only `vcg` reads it. Left out, all slots are alike."""


class ServingSettings(Settings):
    """How `plait serve` answers."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    model: str | None = None
    """Registered model to serve: name, name@version or name@alias; None for the production version of the only one."""
    deadline_ms: float = Field(50.0, gt=0)
    """A request is answered within this time, if need be with a cheaper ranking."""
    candidates: int = Field(500, ge=1, le=10_000)
    """How many candidates retrieval hands to ranking."""
    max_k: int = Field(200, ge=1)
    """The most items one request may ask for."""
    token_env: str = "PLAIT_TOKEN"  # noqa: S105 (a name, not a secret)
    """Environment variable that holds the bearer token; needed when `host` is not a loopback address."""
    request_log: bool = False
    """Log every response with the features it used, under `.plait/requests/`."""


class Workspace(Settings):
    """The whole of `plait.toml`."""

    name: str
    seed: int = 7
    time_unit: TimeUnit = "ms"
    """Unit of integer time columns in the files; datetime columns need none."""
    simulated: bool = False
    """The data comes from a simulated world; every report says so."""
    tables: dict[TableName, TableSettings]
    scenarios: list[ScenarioSettings] = Field(min_length=1)
    objectives: list[ObjectiveSettings] = Field(min_length=1)
    actions: dict[str, ActionSettings] = {}
    features: FeatureSettings = FeatureSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    creative: CreativeSettings = CreativeSettings()
    check: CheckSettings = CheckSettings()
    split: SplitSettings = SplitSettings()
    models: dict[str, ModelSettings] = {}
    content: ContentSettings = ContentSettings()
    ads: AdsSettings = AdsSettings()
    serving: ServingSettings = ServingSettings()

    @model_validator(mode="after")
    def _tables_are_complete(self) -> Self:
        needed = {TableName.USERS, TableName.ITEMS, TableName.EXPOSURES, TableName.BEHAVIOURS}
        missing = sorted(needed - set(self.tables))
        if missing:
            raise ValueError(f"tables {', '.join(missing)} are missing; a workspace needs {', '.join(sorted(needed))}")
        for name, table in self.tables.items():
            known = {spec.name for spec in TABLES[name].columns}
            clash = sorted(known & set(table.columns))
            if clash:
                raise ValueError(f"tables.{name}.columns: {', '.join(clash)} already has a meaning; remove it there")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in (
            ("scenario", [scenario.name for scenario in self.scenarios]),
            ("objective", [objective.name for objective in self.objectives]),
        ):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"{what} '{twice[0]}' is declared twice")
        return self

    @model_validator(mode="after")
    def _funnel_is_a_forest(self) -> Self:
        parents = {objective.name: objective.parent for objective in self.objectives}
        for name in parents:
            seen = [name]
            while (parent := parents[seen[-1]]) is not None:
                if parent not in parents:
                    raise ValueError(f"objective '{seen[-1]}': parent '{parent}' is not an objective")
                if parent in seen:
                    raise ValueError(f"objective '{name}': its parents go round in a circle ({' > '.join(seen)})")
                seen.append(parent)
        return self

    @model_validator(mode="after")
    def _bids_pay_for_an_objective(self) -> Self:
        if self.ads.objective is not None and self.ads.objective not in self.objective_names():
            raise ValueError(
                f"ads.objective is '{self.ads.objective}', expected one of {', '.join(self.objective_names())}"
            )
        return self

    def objective_names(self) -> list[str]:
        """The objectives in file order: the order of every model's logits."""
        return [objective.name for objective in self.objectives]

    def objective_parents(self) -> tuple[int, ...]:
        """Of every objective the index of the one before it in the funnel, -1 for none."""
        names = self.objective_names()
        return tuple(-1 if one.parent is None else names.index(one.parent) for one in self.objectives)

    def scenario_names(self) -> list[str]:
        """The scenarios in file order."""
        return [scenario.name for scenario in self.scenarios]


def load_workspace(folder: Path) -> Workspace:
    """The workspace in `folder` (or the workspace file itself).

    Raises:
        ConfigError: there is no workspace file, or it is wrong.
    """
    path = folder / WORKSPACE_FILE if folder.is_dir() else folder
    if not path.exists():
        raise ConfigError(f"{path}: no workspace here; `plait init` writes one from a folder of tables")
    return load_settings(Workspace, path)
