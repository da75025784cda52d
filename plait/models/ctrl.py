"""Stage one of CTRL: a tabular ranker learns vectors that find their rows' texts; only the ranker is kept."""

from torch import Tensor, nn

from plait.features.spec import FeatureSpec
from plait.models.batch import Batch
from plait.models.config import CtrlConfig
from plait.models.tabular import TabularRanker
from plait.nn.alignment import subspace_vectors
from plait.nn.mlp import MLP


class AlignedTower(nn.Module):
    """A ranker's row vectors and frozen text vectors, projected to one space of M sub-vectors.

    Li et al. 2023, "CTRL: Connect Collaborative and Language Model for CTR Prediction", section 3.3.

    Args:
        config: sizes of the ranker and of the projections.
        spec: what a batch consists of.
        text_width: W, width of the text vectors.
    """

    def __init__(self, config: CtrlConfig, spec: FeatureSpec, text_width: int) -> None:
        super().__init__()
        align = config.align
        self.align = align
        self.ranker = TabularRanker(config, spec)
        self.of_tabular = nn.Linear(self.ranker.width, align.width)
        hidden = MLP(text_width, align.hidden)
        self.of_text = nn.Sequential(hidden, nn.Linear(hidden.width, align.width))

    def forward(self, batch: Batch, text_BW: Tensor) -> tuple[Tensor, Tensor]:
        """Sub-vectors of length 1 of texts and of rows, `[B, M, K]` each."""
        tabular_BMK = subspace_vectors(self.of_tabular(self.ranker.represent(batch)), self.align.subspaces)
        return subspace_vectors(self.of_text(text_BW), self.align.subspaces), tabular_BMK
