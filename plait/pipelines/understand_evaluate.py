"""`plait understand evaluate`: labels by the light classifier against a person's, without and with a few examples."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from plait.config.embedding import EncoderSettings
from plait.content.labelling.classifier import Seen, settings_for, teach
from plait.content.labelling.coverage import coverage_order, draw_examples, first_of_each
from plait.content.labelling.evidence import label_text, mean_tags
from plait.content.labelling.linear import Rows
from plait.content.labelling.sight import READ, TEXT_BESIDE_PICTURES, Shown, Sight
from plait.content.taxonomy import Taxonomy, normalised
from plait.data.artifacts import ArtifactStore
from plait.errors import ConfigError
from plait.llm.encode import TextEncoder, encode_texts
from plait.llm.encoders import open_encoder
from plait.llm.vector_cache import VectorCache
from plait.pipelines.label_scores import Order, Setting, score, score_metrics, timed
from plait.pipelines.labelled_creatives import DataName, LabelledCreatives, read_labelled
from plait.pipelines.results import Metric, write_result
from plait.seeding import generator

View = Literal["both", "no_label_words", "image_only"]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is measured."""

    data: DataName
    data_folder: Path
    cache: Path = Path(".plait/understand")
    """Vectors and features of the data sets are kept here."""
    examples: int = 8
    """Hand labels of each leaf, at most."""
    draws: int = 5
    seed: int = 0
    write: bool = True


@dataclass(frozen=True, slots=True)
class LabelEvaluation:
    """What came out."""

    settings: list[Setting]
    metrics: dict[str, Metric]
    path: Path | None


def evaluate_labels(options: EvaluationOptions) -> LabelEvaluation:
    """Measure labelling on one data set.

    Raises:
        DataError: the data is not there.
        ConfigError: an encoder is not installed.
    """
    store = ArtifactStore(options.cache)
    data = read_labelled(options.data, options.data_folder, store)
    encoder = _encoder(data.language)
    cache = VectorCache.of(options.cache / "vectors", encoder.name, encoder.version, encoder.width)
    views: list[View] = ["both", "no_label_words", "image_only"] if data.pictured else ["both"]
    orders: tuple[Order, Order] = ("coverage", "random") if data.pictured else ("random", "coverage")
    settings = []
    for view in views:
        seen, seconds = timed(lambda view=view: see(data, view, encoder, cache))  # type: ignore[misc]
        few = "few" if view == "both" else f"few_{view}"
        if view == "both":
            settings.append(_measure(data, seen, Setting("zero"), options, most=0, seconds=seconds))
        settings += [
            _measure(data, seen, Setting(few + suffix, order), options, most=options.examples, seconds=seconds)
            for order, suffix in zip(orders, ("", f"_{orders[1]}"), strict=True)
        ]
    metrics = {key: metric for setting in settings for key, metric in _metrics(setting, data.taxonomy.depth).items()}
    path = _write_labels(options, data, settings, metrics) if options.write else None
    return LabelEvaluation(settings, metrics, path)


def compare_text_weights(options: EvaluationOptions, weights: Sequence[float]) -> LabelEvaluation:
    """How well each weight of texts beside pictures does, on the pool alone.

    One half of the pool gives examples and unlabelled rows, the other is answered: no row of the test has a say, and
    so the weight may be chosen by this. Names are seen whole and without label words.

    Raises:
        ConfigError: the data has no pictures.
    """
    store = ArtifactStore(options.cache)
    data = read_labelled(options.data, options.data_folder, store)
    if not data.pictured:
        raise ConfigError(f"{options.data} has no pictures, and so no weight of texts beside them; weigh fashion's")
    encoder = _encoder(data.language)
    cache = VectorCache.of(options.cache / "vectors", encoder.name, encoder.version, encoder.width)
    halves = np.array_split(generator(options.seed, "halves of the pool").permutation(data.pool_M), 2)
    pool = replace(data, pool_M=np.sort(halves[0]), test_M=np.sort(halves[1]))
    settings: list[Setting] = []
    metrics: dict[str, Metric] = {}
    views: list[tuple[View, str]] = [("both", "few"), ("no_label_words", "few_no_label_words")]
    for view, name in views:
        shown, sight = _shown(pool, view, encoder, cache)
        seen, current = sight(shown), TEXT_BESIDE_PICTURES
        for weight in weights:
            seen.feature_ND[:, sight.text_columns] *= np.float32(weight / current)
            current = weight
            setting = Setting(f"{name}.weight_{f'{weight:g}'.replace('.', '_')}", "random")
            settings.append(_measure(pool, seen, setting, options, most=options.examples, seconds=0.0))
            found = _metrics(setting, data.taxonomy.depth)
            metrics |= {key: one for key, one in found.items() if key.count(".") == 2 and key[-2] == "l"}
    path = _write_weights(options, pool, weights, metrics) if options.write else None
    return LabelEvaluation(settings, metrics, path)


def sight_of(data: LabelledCreatives, folder: Path, view: View = "both") -> Seen:
    """Features and evidence of all rows; vectors are kept in a folder."""
    encoder = _encoder(data.language)
    return see(data, view, encoder, VectorCache.of(folder / "vectors", encoder.name, encoder.version, encoder.width))


def see(data: LabelledCreatives, view: View, encoder: TextEncoder, cache: VectorCache | None) -> Seen:
    """Features and evidence of all rows; scales are those of the pool.

    Args:
        data: the rows.
        view: texts and pictures, texts without any word of a label and pictures, or pictures only.
        encoder: of texts, labels and tags.
        cache: of vectors.
    """
    shown, sight = _shown(data, view, encoder, cache)
    return sight(shown)


def _shown(data: LabelledCreatives, view: View, encoder: TextEncoder, cache: VectorCache | None) -> tuple[Shown, Sight]:
    """All rows, and the sight that is fitted on the pool's; arguments as in `see`."""
    label_CD = encode_texts(encoder, [label_text(label) for label in data.taxonomy.leaves], cache)
    texts, vector_ND = None, None
    if view != "image_only":
        texts = data.texts if view == "both" else without_label_words(data.texts, data.taxonomy)
        vector_ND = encode_texts(encoder, [text[:READ] for text in texts], cache)
    tag_ND = None if data.tag_NV is None else mean_tags(data.tag_NV, encode_texts(encoder, _tag_names(), cache))
    shown = Shown(texts, vector_ND, data.picture_ND, tag_ND, data.outline_NO)
    return shown, Sight.fit(shown.rows(data.pool_M), data.taxonomy, label_CD)


def without_label_words(texts: Sequence[str], taxonomy: Taxonomy) -> list[str]:
    """Texts without any word that stands in any label's name at any level, singular or plural."""
    words = {word for label in taxonomy.leaves for name in label.path for word in normalised(name).split()} - {"and"}
    stems = {_stem(word) for word in words}
    return [" ".join(word for word in normalised(text).split() if _stem(word) not in stems) for text in texts]


def _stem(word: str) -> str:
    return re.sub(r"(es|s|ies|y)$", "", word) if len(word) > 3 else word


def _tag_names() -> tuple[str, ...]:
    from plait.content.vision.things import tag_names  # noqa: PLC0415 (the `content` extra)

    return tag_names()


def _measure(
    data: LabelledCreatives, seen: Seen, setting: Setting, options: EvaluationOptions, *, most: int, seconds: float
) -> Setting:
    test = seen.rows(data.test_M)
    for draw in range(options.draws if most else 1):
        rows = np.zeros(0, np.int64)
        if most:
            rows = _examples(data, seen, setting.order, most, generator(options.seed, "examples", draw))
        unlabelled = seen.rows(np.setdiff1d(data.pool_M, rows))
        classifier = teach(unlabelled, seen.rows(rows), data.label_N[rows], data.taxonomy, settings_for(data.pictured))
        spent = score(data, classifier, test, setting)
        setting.seconds += spent + seconds * len(data.test_M) / len(data.texts)
        setting.answered += len(data.test_M)
    return setting


def _examples(data: LabelledCreatives, seen: Seen, order: Order, most: int, draw: np.random.Generator) -> Rows:
    """Rows of the pool that are labelled; what is to be covered is nine tenths of it that the draw chooses."""
    if order == "random":
        return draw_examples(data.label_N, data.pool_M, most, draw)
    covered = np.sort(draw.permutation(len(data.pool_M))[: math.ceil(0.9 * len(data.pool_M))])
    return first_of_each(data.label_N, data.pool_M[coverage_order(seen.feature_ND[data.pool_M], covered)], most)


def _metrics(setting: Setting, depth: int) -> dict[str, Metric]:
    rate = setting.answered / max(setting.seconds, 1e-9)
    return score_metrics(setting, depth) | {
        f"{setting.name}.creatives_per_s": Metric(rate, unit="creatives/s"),
        f"{setting.name}.tokens_per_creative": Metric(0.0, unit="tokens"),
    }


def _write_labels(
    options: EvaluationOptions, data: LabelledCreatives, settings: Sequence[Setting], metrics: dict[str, Metric]
) -> Path:
    worst = "; ".join(f"{true} as {said}: {count}" for true, said, count in settings[-1].confusions[:5])
    rows = f"{data.words}, {len(data.test_M):,} of them for the test; examples and unlabelled rows from the others"
    notes = (
        f"Light classifier, no language model. `few`: at most {options.examples} labels a leaf, mean and range "
        f"over {options.draws} draws, in the order of asking that such creatives have by default; with the other one "
        "behind `_random` or `_coverage`. Coverage: examples are the first of each leaf as one looks through the pool, "
        "beginning with what stands for most of it (of nine tenths, others in every draw; no label has a say). Random: "
        "each leaf's are drawn. A level counts as right when the whole path down to it is. `ece` and `coverage_95` use "
        "the calibrated confidence. `creatives_per_s` counts texts' vectors (where they are not kept yet), features "
        "and answers, not the photographs' features, which are kept. Commonest "
        f"mistakes of {settings[-1].name}: {worst}."
    )
    return _write(options, metrics, rows, notes)


def _write_weights(
    options: EvaluationOptions, pool: LabelledCreatives, weights: Sequence[float], metrics: dict[str, Metric]
) -> Path:
    rows = f"{pool.words}; of the pool {len(pool.pool_M):,} teach and {len(pool.test_M):,} are answered"
    notes = (
        f"Which weight texts have beside pictures, whole names and without label words, at most {options.examples} "
        f"labels a leaf, mean and range over {options.draws} draws. No row of understand_{options.data}'s test is "
        "among these."
    )
    flags = "".join(f" --weigh {weight:g}" for weight in weights)
    return _write(options, metrics, rows, notes, suffix="_weights", flags=flags)


def _write(
    options: EvaluationOptions, metrics: dict[str, Metric], rows: str, notes: str, *, suffix: str = "", flags: str = ""
) -> Path:
    return write_result(
        f"understand_{options.data}{suffix}",
        command=f"plait understand evaluate --data {options.data} --data-folder DATA{flags}",
        data=rows,
        seeds=[options.seed],
        metrics=metrics,
        notes=notes,
    )


def _encoder(language: str) -> TextEncoder:
    return open_encoder(EncoderSettings(kind="minilm" if language == "en" else "use"))
