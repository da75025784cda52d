"""Stage one of CTRL: a tabular ranker learns vectors that find their rows' texts; only the ranker is kept."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import AlignedConfig
from plait.models.ranker import HasRowVectors
from plait.models.text_tower import Texts, TextTower
from plait.nn.alignment import subspace_vectors


class AlignedTower(nn.Module):
    """A ranker's row vectors and a text tower's vectors, in one space of M sub-vectors.

    Li et al. 2023, "CTRL: Connect Collaborative and Language Model for CTR Prediction", section 3.3.

    Args:
        config: sizes of the ranker and of the projections.
        spec: what a batch consists of.
        item_fields_VI: codes of the item fields of every item code.
        text_width: W, width of the text vectors.
        top: the encoder's last layers, where they learn (`TextTower`).
    """

    def __init__(
        self,
        config: AlignedConfig,
        spec: FeatureSpec,
        item_fields_VI: NDArray[np.int32],
        text_width: int,
        top: nn.Module | None = None,
    ) -> None:
        super().__init__()
        align = config.align
        self.align = align
        self.ranker = build_model(config, spec, item_fields_VI)
        self.of_tabular = nn.Linear(self.rows.width, align.width)
        self.of_text = TextTower(align, text_width, top)

    @property
    def rows(self) -> HasRowVectors:
        """The ranker, as what makes rows' vectors."""
        if not isinstance(self.ranker, HasRowVectors):
            raise TypeError(f"{type(self.ranker).__name__} has no row vectors (plait.models.ranker.HasRowVectors)")
        return self.ranker

    def forward(self, batch: Batch, texts: Texts) -> tuple[Tensor, Tensor]:
        """Sub-vectors of length 1 of texts and of rows, `[B, M, K]` each."""
        tabular_BMK = subspace_vectors(self.of_tabular(self.rows.represent(batch)), self.align.subspaces)
        return subspace_vectors(self.of_text(texts), self.align.subspaces), tabular_BMK
