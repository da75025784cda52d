"""Picture networks that teach the light classifier: as the settings ask for them, and what was learnt kept on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plait.content.labelling.classifier import LightClassifier
from plait.content.labelling.co_teaching import Opened
from plait.data.artifacts import ArtifactStore

_FILE = "classifier.safetensors"


def picture_student(epochs: int) -> Opened | None:
    """Makes picture networks whose first lesson takes so many epochs; None for none."""
    if not epochs:
        return None
    from plait.content.labelling.picture_student import PictureStudent, StudentSettings  # noqa: PLC0415 (slow to import)

    settings = StudentSettings(epochs=epochs)
    return lambda pictures, labels: PictureStudent(pictures, labels, settings)


def kept_classifier(
    store: ArtifactStore, inputs: Mapping[str, Any], teach: Callable[[], LightClassifier]
) -> LightClassifier:
    """What `teach` gives, which takes minutes; read back where it was taught from the same inputs before."""
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415 (needed here only)

    def build(folder: Path) -> None:
        arrays = {name: np.ascontiguousarray(one) for name, one in teach().arrays().items()}
        save_file(arrays, folder / _FILE)

    return LightClassifier.of_arrays(load_file(store.build("light-classifier", inputs, build) / _FILE))
