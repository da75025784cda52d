"""The light classifier: evidence of the labels themselves, a few examples, and rows that nobody has labelled.

Without examples, the evidence (label words, likeness, tags) is read as logits; the shares of the labels among the
unlabelled rows are estimated, and a regression on all features learns the resulting soft answers ("pseudo-labels"),
which carries what the text gives away over to pictures and words that no label names. Examples join that regression
with a greater weight. The unlabelled rows also show in which directions rows of one label differ, which count less
then, and who is alike, whose answers are mixed.
"""

from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from plait.content.labelling.calibration import temperature_of
from plait.content.labelling.features import principal_directions
from plait.content.labelling.linear import Floats, Rows, SoftmaxModel, fit_softmax, shares_without_labels, softmax
from plait.content.labelling.neighbours import smoothed, telling_directions
from plait.content.taxonomy import Taxonomy


class ClassifierSettings(BaseModel):
    """Settings of the light classifier."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    penalty: float = 1 / 3
    """Of the weights, divided by the number of rows that it learns from."""
    rounds: int = 2
    """How often it learns from its own answers on unlabelled rows."""
    rounds_without_examples: int = 2
    """The same where nobody has labelled anything."""
    unlabelled_temperature: float = 1.2
    """Of the confidence where too few examples can be held out to find it by."""
    own_penalty: float = 8.0
    """Of the weights of what learns from own answers, divided by the rows as well."""
    pseudo_weight: float = 0.15
    """What an unlabelled row counts, beside 1 of an example."""
    sharpening: float = 1.0
    """Power of own answers before they are learnt from."""
    width: int = 1_536
    """Principal directions of the features that it learns in; 0: the features as they are."""
    within_power: float = 0.25
    """Power of the variance within labels that directions are divided by; 0: none."""
    neighbours: int = 10
    """Nearest rows whose answers are mixed with a row's own before they are learnt from; 0: none."""
    neighbours_share: float = 0.5
    """Of the mixture that is theirs."""
    evidence_weight: float = 0.25
    """What the labels' own evidence counts beside what was learnt."""
    share_sharpness: float = 5 / 3
    """Factor on the logits of what examples alone taught, before shares are found: so few leave it too unsure."""
    share_iterations: int = 10
    """Steps towards the labels' shares among unlabelled rows; few where answers are unsure and rows per label few."""
    most_unlabelled: int = 8_000
    """Unlabelled rows that it learns from, at most, evenly spread."""
    folds: int = 4
    """Parts of the examples that are held out in turn for calibration."""
    fold_rounds: int = 1
    """Rounds of own answers of the classifiers that the other parts teach."""
    fold_unlabelled: int = 1_500
    """Unlabelled rows that these learn from, at most, evenly spread."""
    least_covered: float = 0.5
    """Share of the labels that must have an example for a regression on examples alone; with fewer, the labels' own
    evidence begins, and examples join what is learnt from it."""


TEXT_ONLY = ClassifierSettings(
    penalty=1.0,
    rounds_without_examples=0,
    unlabelled_temperature=2.5,
    own_penalty=15.0,
    pseudo_weight=0.3,
    sharpening=2.0,
    width=0,
    within_power=0.0,
    evidence_weight=0.1,
    share_sharpness=1.0,
    share_iterations=3,
    most_unlabelled=4_000,
    fold_rounds=2,
    fold_unlabelled=4_000,
)
"""For texts without pictures, where answers without examples are too unsure to learn from."""


def settings_for(pictured: bool) -> ClassifierSettings:
    """The settings for creatives of which some have pictures, or none."""
    return ClassifierSettings() if pictured else TEXT_ONLY


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of N creatives without any label."""

    feature_ND: Floats
    evidence_NC: Floats
    """Logits from the labels' own words and likeness."""

    def rows(self, chosen: Rows) -> "Seen":
        return Seen(self.feature_ND[chosen], self.evidence_NC[chosen])


@dataclass(frozen=True, slots=True)
class LightClassifier:
    """What was learnt."""

    model: SoftmaxModel | None
    """None: the evidence alone."""
    offset_C: Floats
    """Logits of the shares that unlabelled rows show."""
    evidence_weight: float
    temperature: float = 1.0

    def logits(self, seen: Seen) -> Floats:
        """Before the temperature."""
        learnt_NC = self.model.logits(seen.feature_ND) if self.model is not None else np.float32(0)
        result: Floats = learnt_NC + np.float32(self.evidence_weight) * seen.evidence_NC + self.offset_C
        return result

    def probabilities(self, seen: Seen) -> Floats:
        """Calibrated probabilities [N, C]."""
        return softmax(self.logits(seen) / np.float32(self.temperature))


def teach(
    unlabelled: Seen, examples: Seen, label_N: Rows, taxonomy: Taxonomy, settings: ClassifierSettings
) -> LightClassifier:
    """A classifier from examples (possibly none) and unlabelled rows.

    Confidence is calibrated on examples held out in turn from a classifier taught by the rest. Without examples there
    is nothing to hold out, and the settings' temperature stands in.

    Args:
        unlabelled: rows to learn shares and pseudo-labels from; never those that it is tested on.
        examples: the few.
        label_N: their leaves.
        taxonomy: the labels.
        settings: how.
    """
    unlabelled = _spread(unlabelled, settings.most_unlabelled)
    space = _Space.fit(unlabelled.feature_ND, settings.width)
    if space is None:
        return _calibrated(unlabelled, examples, label_N, taxonomy, settings)
    return space.back(_calibrated(space.seen(unlabelled), space.seen(examples), label_N, taxonomy, settings))


def _calibrated(
    unlabelled: Seen, examples: Seen, label_N: Rows, taxonomy: Taxonomy, settings: ClassifierSettings
) -> LightClassifier:
    whole = _learn(unlabelled, examples, label_N, settings)
    if len(label_N) < 2 * len(taxonomy.nodes(1)):
        return replace(whole, temperature=settings.unlabelled_temperature)
    logits_NC, fewer = np.empty_like(examples.evidence_NC), _spread(unlabelled, settings.fold_unlabelled)
    fold_N = _folds(label_N, settings.folds)
    for fold in range(settings.folds):
        held, kept = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        part = _learn(
            fewer, examples.rows(kept), label_N[kept], settings.model_copy(update={"rounds": settings.fold_rounds})
        )
        logits_NC[held] = part.logits(examples.rows(held))
    counts = np.bincount(label_N, minlength=len(taxonomy.leaves))
    natural_C = whole.probabilities(unlabelled).mean(axis=0) + np.float32(1e-6)
    weight_N = (natural_C[label_N] / counts[label_N]).astype(np.float32)
    taught_N = counts[label_N] > 1
    temperature = temperature_of(logits_NC[taught_N], label_N[taught_N], weight_N[taught_N])
    return replace(whole, temperature=temperature)


@dataclass(frozen=True, slots=True)
class _Space:
    """Principal directions of unlabelled rows, to learn in; what was learnt is brought back: all is linear."""

    mean_D: Floats
    turn_DK: Floats

    @classmethod
    def fit(cls, x_ND: Floats, width: int) -> "_Space | None":
        """None where there are not more features than that."""
        if not 0 < width < x_ND.shape[1]:
            return None
        mean_D: Floats = x_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls(mean_D, principal_directions(x_ND - mean_D, width)[1])

    def seen(self, seen: Seen) -> Seen:
        turned_NK = (seen.feature_ND - self.mean_D) @ self.turn_DK
        return Seen(np.asarray(turned_NK, np.float32), seen.evidence_NC)

    def back(self, taught: LightClassifier) -> LightClassifier:
        """The same classifier, of the features before the turn."""
        if taught.model is None:
            return taught
        weight_DC = self.turn_DK @ taught.model.weight_DC
        return replace(taught, model=SoftmaxModel(weight_DC, taught.model.bias_C - self.mean_D @ weight_DC))


def _spread(seen: Seen, most: int) -> Seen:
    """At most so many of the rows, evenly spread."""
    return seen.rows(np.arange(0, len(seen.evidence_NC), max(1, -(-len(seen.evidence_NC) // most))))


def _learn(unlabelled: Seen, examples: Seen, label_N: Rows, settings: ClassifierSettings) -> LightClassifier:
    classes = unlabelled.evidence_NC.shape[1]
    alike_C = np.full(classes, 1 / classes, np.float32)
    target_NC = np.eye(classes, dtype=np.float32)[label_N]
    rounds = settings.rounds
    if len(label_N) and len(np.unique(label_N)) >= settings.least_covered * classes:
        alike_N = np.ones(len(label_N), np.float32)
        model = fit_softmax(examples.feature_ND, target_NC, alike_N, penalty=settings.penalty / len(label_N))
        sharp = np.float32(settings.share_sharpness)
        model = SoftmaxModel(model.weight_DC * sharp, model.bias_C * sharp)
        first = LightClassifier(model, np.zeros(classes, np.float32), settings.evidence_weight * float(sharp))
    else:
        first = LightClassifier(None, np.zeros(classes, np.float32), 1.0)
        rounds = max(rounds, 1) if len(label_N) else settings.rounds_without_examples
    share_C = shares_without_labels(softmax(first.logits(unlabelled)), alike_C, settings.share_iterations)
    shares_C = np.log(share_C * classes)
    found = LightClassifier(first.model, shares_C, first.evidence_weight)
    for _ in range(rounds):
        found = _from_own_answers(found, unlabelled, examples, target_NC, settings)
    return found


def _from_own_answers(
    before: LightClassifier, unlabelled: Seen, examples: Seen, target_NC: Floats, settings: ClassifierSettings
) -> LightClassifier:
    """Learn again, from the examples and from one's own answers; the shares are in the answers now.

    It learns in a space where rows of one label lie closer together, from answers that the neighbours there share.
    """
    examples_count = len(target_NC)
    own_MC = softmax(before.logits(unlabelled)) ** np.float32(settings.sharpening)
    own_MC /= own_MC.sum(axis=1, keepdims=True)
    x_ND = np.concatenate([examples.feature_ND, unlabelled.feature_ND])
    answer_NC = np.concatenate([target_NC, own_MC.astype(np.float32)])
    turn_DD = telling_directions(x_ND, answer_NC, settings.within_power) if settings.within_power else None
    if turn_DD is not None:
        x_ND = x_ND @ turn_DD
    if settings.neighbours:
        mixed_NC = smoothed(x_ND, answer_NC, settings.neighbours, settings.neighbours_share)
        answer_NC = np.concatenate([target_NC, mixed_NC[examples_count:]])
    weight_N = np.repeat(np.array([1.0, settings.pseudo_weight], np.float32), [examples_count, len(own_MC)])
    penalty = settings.own_penalty / len(weight_N)
    model = fit_softmax(x_ND, answer_NC, weight_N, penalty=penalty, iterations=25)
    if turn_DD is not None:
        model = SoftmaxModel(turn_DD @ model.weight_DC, model.bias_C)
    return LightClassifier(model, np.zeros_like(before.offset_C), settings.evidence_weight)


def _folds(label_N: Rows, folds: int) -> Rows:
    """Part of every example; a label's examples are spread over the parts."""
    seen: dict[int, int] = {}
    fold = []
    for label in label_N.tolist():
        fold.append((seen.setdefault(label, label)) % folds)
        seen[label] += 1
    return np.array(fold, np.int64)
