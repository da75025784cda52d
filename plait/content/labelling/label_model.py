"""The light classifier as a whole, on disk and off it: from what is shown of creatives to their labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.classifier import LightClassifier, settings_for, teach
from plait.content.labelling.hierarchy import decide
from plait.content.labelling.linear import Floats, SoftmaxModel
from plait.content.labelling.sight import Shown, Sight
from plait.content.labelling.strategy import LabelAnswer, cut
from plait.content.taxonomy import Path3, Taxonomy
from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError

_ARRAYS, _TERMS = "label_model.safetensors", "terms.json"


def answers_of(probability_NC: Floats, taxonomy: Taxonomy, threshold: float, likely: int = 0) -> list[LabelAnswer]:
    """Probabilities of leaves as answers, each cut where it is less sure than `threshold`.

    Args:
        probability_NC: of each leaf.
        taxonomy: the labels.
        threshold: less sure levels are unknown.
        likely: so many of the likeliest leaves go with each answer.
    """
    decision = decide(probability_NC, taxonomy)
    nodes = taxonomy.nodes(taxonomy.depth)
    few_NK = np.sort(np.argsort(-probability_NC, axis=1)[:, :likely], axis=1)
    found = []
    for row, (leaf, sure_L) in enumerate(zip(decision.leaf_N, decision.confidence_NL, strict=True)):
        best = nodes[leaf]
        sure = tuple(round(float(one), 4) for one in sure_L[: len(best)])
        few = tuple((taxonomy.leaves[place].path, round(float(probability_NC[row, place]), 6)) for place in few_NK[row])
        found.append(LabelAnswer(cut(best, sure, threshold), sure, best, likely=few))
    return found


@dataclass(frozen=True, slots=True)
class LabelModel:
    """A sight and the classifier that learnt through it."""

    taxonomy: Taxonomy
    sight: Sight
    classifier: LightClassifier

    @classmethod
    def taught(
        cls,
        shown: Shown,
        taxonomy: Taxonomy,
        label_CD: NDArray[np.float32],
        rows_M: NDArray[np.int64],
        labels: Sequence[Path3],
    ) -> "LabelModel":
        """From creatives of which some have a label.

        Args:
            shown: the creatives.
            taxonomy: the labels.
            label_CD: vectors of the labels' texts.
            rows_M: creatives that somebody labelled.
            labels: what was said of them, in the same order.
        """
        sight = Sight.fit(shown, taxonomy, label_CD)
        seen = sight(shown)
        settings = settings_for(shown.picture_NP is not None)
        place_M = np.array([taxonomy.place[path] for path in labels], np.int64)
        others = np.setdiff1d(np.arange(len(seen.feature_ND)), rows_M)
        unlabelled = seen.rows(others if len(others) else rows_M)
        return cls(taxonomy, sight, teach(unlabelled, seen.rows(rows_M), place_M, taxonomy, settings))

    def answers(self, shown: Shown, threshold: float, likely: int = 0) -> list[LabelAnswer]:
        """See `answers_of`."""
        return answers_of(self.classifier.probabilities(self.sight(shown)), self.taxonomy, threshold, likely)

    def save(self, folder: Path) -> None:
        """Into two files of a folder."""
        from safetensors.numpy import save_file  # noqa: PLC0415 (needed here only)

        known = self.classifier
        arrays = {
            **self.sight.arrays(),
            "offset": known.offset_C,
            "scalars": np.array([known.evidence_weight, known.temperature], np.float32),
        }
        if known.model is not None:
            arrays |= {"weight": known.model.weight_DC, "bias": known.model.bias_C}
        save_file({name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}, folder / _ARRAYS)
        write_atomically(folder / _TERMS, json.dumps(self.sight.vocabulary, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path, taxonomy: Taxonomy) -> "LabelModel":
        """What `save` wrote.

        Raises:
            ArtifactError: it was taught another taxonomy.
        """
        from safetensors.numpy import load_file  # noqa: PLC0415 (needed here only)

        found = load_file(folder / _ARRAYS)
        if len(found["offset"]) != len(taxonomy.leaves):
            raise ArtifactError(
                f"{folder}: found a classifier of {len(found['offset'])} labels, {taxonomy.name} has "
                f"{len(taxonomy.leaves)}; delete the folder"
            )
        terms = json.loads((folder / _TERMS).read_text(encoding="utf-8"))
        model = SoftmaxModel(found["weight"], found["bias"]) if "weight" in found else None
        evidence, temperature = (float(one) for one in found["scalars"])
        classifier = LightClassifier(model, found["offset"], evidence, temperature)
        return cls(taxonomy, Sight.of_arrays(taxonomy, found, terms), classifier)
