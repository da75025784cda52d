"""Labels in the workflow over a workspace's creatives: the taxonomy, what people said, the classifier, the models."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from plait.config.content import LabelSettings
from plait.content.label_steps import light_step, meaning_step, model_step, shown_of
from plait.content.labelling.coverage import asking_order
from plait.content.labelling.evidence import label_text
from plait.content.labelling.label_model import LabelModel
from plait.content.labelling.linear import Floats
from plait.content.labelling.model_strategies import (
    NEAREST,
    STRATEGIES,
    ModelStrategy,
    Retrieved,
    spread_examples,
)
from plait.content.labelling.review_queue import Reviewed, ReviewQueue
from plait.content.labelling.sight import Shown
from plait.content.labelling.strategy import Strategy
from plait.content.prompts import Prompt, load_prompt
from plait.content.taxonomy import Label, Path3, Taxonomy, load_taxonomy, make_taxonomy
from plait.content.workflow import BatchStep, Sheet
from plait.data.artifacts import fingerprint
from plait.errors import ArtifactError, DataError
from plait.llm.encode import TextEncoder, encode_texts
from plait.llm.encoders import open_encoder
from plait.llm.vector_cache import VectorCache
from plait.pipelines.check import checked_tables
from plait.pipelines.content_models import ContentModels
from plait.pipelines.project import Project
from plait.schema import Columns as C
from plait.seeding import generator

STAGE = "label_model"
IAB = "iab-ad-product-2.0"
SAMPLE = 4_000
"""Creatives without a label that the classifier learns from, at most."""
ORDERED = 2_000
"""Unsure creatives whose turn to be asked about is worked out, at most; and labelled ones that it depends on."""
_VERSION = 3
"""Raised when the same creatives and labels teach another classifier."""
_ITEMS = "items"
_CATEGORIES = (C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3)
_LIGHT = ("light", "rest")

Look = Callable[[pl.DataFrame], list[Sheet]]
"""Runs the steps that come before the label over creatives."""


class CreativeLabels:
    """How the creatives of a workspace get labels.

    Args:
        project: the workspace.
        creatives: its creatives, with their media's digests and their items' columns.
        items: its items.
        before: what the steps before the label are, for the classifier's name.
        models: that the settings name.

    Raises:
        ConfigError: there is no such taxonomy, or a package is missing.
    """

    def __init__(
        self,
        project: Project,
        creatives: pl.DataFrame,
        items: pl.DataFrame,
        before: Sequence[Mapping[str, Any]],
        models: ContentModels,
    ) -> None:
        self._project, self._creatives, self._before, self._models = project, creatives, list(before), models
        self.settings: LabelSettings = project.workspace.content.label
        self.taxonomy = workspace_taxonomy(self.settings, project.root, items)
        self.queue = _queue(project, self.taxonomy)
        self.encoder: TextEncoder = open_encoder(self.settings.encoder, project.root)

    @cached_property
    def said(self) -> dict[str, Path3]:
        """What people said: in the table of examples, and in reviews, whose word is the later one."""
        reviewed = {creative.creative_id: path for creative, path in self.queue.examples()}
        return _read_examples(self.settings, self._project.root, self.taxonomy) | reviewed

    @cached_property
    def sample(self) -> pl.DataFrame:
        """The creatives that the classifier learns from: some evenly spread, and all with a label."""
        every = max(1, -(-self._creatives.height // SAMPLE))
        labelled = pl.col(C.CREATIVE_ID).cast(pl.String).is_in(list(self.said))
        evenly = pl.int_range(pl.len()) % every == 0
        return self._creatives.filter(evenly | labelled)

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Everything that the classifier depends on."""
        rows = hashlib.blake2b(self.sample.write_ndjson().encode(), digest_size=16).hexdigest()
        leaves = [[leaf.path, leaf.zh, leaf.description, leaf.words] for leaf in self.taxonomy.leaves]
        return {
            "version": _VERSION,
            "before": self._before,
            "encoder": self.encoder.version,
            "leaves": fingerprint({"leaves": leaves}),
            "creatives": rows,
            "said": sorted(self.said.items()),
        }

    def steps(self, heard: bool) -> tuple[BatchStep, ...]:
        """`meaning`, and the label by what the settings ask for."""
        chosen, threshold = self.settings.strategy, self.settings.threshold
        steps = [meaning_step(self.encoder, heard)]
        if chosen in _LIGHT:
            name = f"light-classifier {fingerprint(self.inputs)} of {self.taxonomy.name}"
            likely = NEAREST if chosen == "rest" else 0
            steps.append(light_step(name, threshold, lambda: self._opened, likely))
        if chosen != "light":
            asked = f"{self._prompt.name}.v{self._prompt.version}"
            name = f"{self._models.language_model_name} {chosen} {asked} {self.inputs['leaves']}"
            if self._shown:
                name += f" shown {fingerprint({'shown': self._shown})}"
            steps.append(model_step(lambda: self._strategy, name, threshold, rest=chosen == "rest"))
        return tuple(steps)

    def teach(self, look: Look) -> None:
        """Make the classifier, unless it is there."""
        if self.settings.strategy in _LIGHT:
            self._project.store.build(STAGE, self.inputs, lambda folder: self._teach(look).save(folder))

    def ask(self, unsure: Sequence[Reviewed], look: Look) -> int:
        """Let these wait for a person, those first whose labels would teach the classifier most; how many wait."""
        turns = self._turns(unsure, look) if self.settings.strategy in _LIGHT and unsure else {}
        return self.queue.refill(row.model_copy(update={"turn": turns.get(row.creative_id)}) for row in unsure)

    def _turns(self, unsure: Sequence[Reviewed], look: Look) -> dict[str, int]:
        """Places in the order of asking: of coverage where there are pictures, else a random one, as good there."""
        sight = self._opened[0].sight
        if sight.pictures is None:
            names = [row.creative_id for row in unsure]
            return dict(zip(names, generator(0, "asked").permutation(len(names)).tolist(), strict=True))
        every = -(-len(unsure) // ORDERED)
        confidence = {row.creative_id: row.confidence[-1] for row in unsure[::every]}
        named = pl.col(C.CREATIVE_ID).cast(pl.String).is_in([*confidence, *list(self.said)[:ORDERED]])
        ids, shown = self._looked(look, self._creatives.filter(named))
        feature_ND = sight(shown).feature_ND
        asked = np.array([name in confidence for name in ids], np.bool_)
        names = [name for name in ids if name in confidence]
        sure_N = np.array([confidence[name] for name in names], np.float32)
        order = asking_order(feature_ND[asked], sure_N, feature_ND[~asked])
        return {names[place]: turn for turn, place in enumerate(order.tolist())}

    def _looked(self, look: Look, creatives: pl.DataFrame) -> tuple[list[str], Shown]:
        """Those of the creatives that say something: their names, and what there is to see of them."""
        seen = [{name: sheet.answer(name) for name in ("meaning", "things")} for sheet in look(creatives)]
        names = creatives[C.CREATIVE_ID].cast(pl.String).to_list()
        there = [row for row, inputs in enumerate(seen) if inputs["meaning"] is not None]
        return [names[row] for row in there], shown_of([seen[row] for row in there], self._tags)

    def _teach(self, look: Look) -> LabelModel:
        ids, shown = self._looked(look, self.sample)
        rows = [place for place, name in enumerate(ids) if name in self.said]
        labels = [self.said[ids[place]] for place in rows]
        label_CD = self._encode([label_text(leaf, self.settings.language) for leaf in self.taxonomy.leaves])
        return LabelModel.taught(shown, self.taxonomy, label_CD, np.array(rows, np.int64), labels)

    @cached_property
    def _opened(self) -> tuple[LabelModel, Mapping[str, Floats]]:
        folder = self._project.store.find(STAGE, self.inputs, "run `plait understand`")
        return LabelModel.load(folder, self.taxonomy), self._tags

    @cached_property
    def _shown(self) -> tuple[tuple[str, Path3], ...]:
        """Decisions of reviews that the language model is shown."""
        said = [(creative.text, path) for creative, path in self.queue.examples()]
        return spread_examples(said, self.settings.shown_examples)

    @cached_property
    def _tags(self) -> dict[str, Floats]:
        from plait.content.vision.things import tag_names  # noqa: PLC0415 (the `content` extra)

        return dict(zip(tag_names(), self._encode(tag_names()), strict=True))

    def _encode(self, texts: Sequence[str]) -> Floats:
        encoder = self.encoder
        folder = self._project.hidden / "content" / "vectors"
        with VectorCache.of(folder, encoder.name, encoder.version, encoder.width) as cache:
            return encode_texts(encoder, texts, cache)

    @cached_property
    def _strategy(self) -> Strategy:
        model, threshold = self._models.language_model, self.settings.threshold
        shared = (model, self._prompt, self.taxonomy, threshold, self._models.concurrency, self._shown)
        return Retrieved(*shared, encoder=self.encoder) if self._kind is Retrieved else self._kind(*shared)

    @property
    def _kind(self) -> type[ModelStrategy]:
        """How the language model is asked; for the rest, among what the light classifier finds likeliest."""
        return STRATEGIES.get(self.settings.strategy, Retrieved)

    @cached_property
    def _prompt(self) -> Prompt:
        return load_prompt(self._kind.asks, self.settings.language)


def review_queue(project: Project) -> ReviewQueue:
    """What waits for a person in a workspace, and what people decided.

    Raises:
        ArtifactError: there is no queue; `plait understand` was not run.
    """
    items = pl.read_parquet(sorted((checked_tables(project) / "items").glob("part-*.parquet")))
    queue = _queue(project, workspace_taxonomy(project.workspace.content.label, project.root, items))
    if not queue.path.exists():
        raise ArtifactError(f"{queue.path}: found no review queue; `plait understand -w {project.root}` fills it")
    return queue


def _queue(project: Project, taxonomy: Taxonomy) -> ReviewQueue:
    return ReviewQueue(project.hidden / "content" / "review.json", taxonomy)


def workspace_taxonomy(settings: LabelSettings, root: Path, items: pl.DataFrame) -> Taxonomy:
    """The taxonomy that the settings name; without a name, the items' own categories, else IAB's.

    Raises:
        ConfigError: there is no such taxonomy.
    """
    if settings.taxonomy:
        own = root / Path(settings.taxonomy).expanduser()
        return load_taxonomy(own if own.is_file() else settings.taxonomy)
    levels = [column for column in _CATEGORIES if column in items.columns]
    if not levels:
        return load_taxonomy(IAB)
    return make_taxonomy(_ITEMS, _category_labels(items, levels))


def _category_labels(items: pl.DataFrame, levels: Sequence[str]) -> list[Label]:
    """Paths of categories, with their English names as further words where the items have them."""
    english = [f"{column}_en" for column in levels if f"{column}_en" in items.columns]
    rows = items.select(*levels, *english).drop_nulls(levels[0]).unique(levels).sort(levels)
    paths = {}
    for row in rows.iter_rows(named=True):
        path = tuple(part for column in levels if (part := (row[column] or "").strip()))
        names = [row[column] for column in english[-1:] if row[column]]
        paths[path] = Label(path, words=tuple(dict.fromkeys(names)))
    inner = {path[:level] for path in paths for level in range(1, len(path))}
    return [label for path, label in paths.items() if path and path not in inner]


def _read_examples(settings: LabelSettings, root: Path, taxonomy: Taxonomy) -> dict[str, Path3]:
    if not settings.examples:
        return {}
    path = root / Path(settings.examples).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: found no such file, expected the table of content.label.examples")
    table = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    columns = [column for column in ("l1", "l2", "l3") if column in table.columns]
    if C.CREATIVE_ID not in table.columns or not columns:
        raise DataError(f"{path}: found the columns {table.columns}, expected {C.CREATIVE_ID}, l1, l2, l3")
    found = {}
    for creative_id, *names in table.select(C.CREATIVE_ID, *columns).iter_rows():
        label = tuple(name.strip() for name in names if name)
        if label not in taxonomy.place:
            raise DataError(f"{path}: found the label {' > '.join(label)!r}, which {taxonomy.name} does not have")
        found[str(creative_id)] = label
    return found
