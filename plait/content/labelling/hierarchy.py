"""From probabilities of leaves to a label path with a confidence per level."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plait.content.labelling.linear import Floats
from plait.content.taxonomy import Taxonomy

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decision:
    """Answers for N creatives; a level's confidence is the probability of its node."""

    node_NL: Codes
    """Index of the chosen node in `taxonomy.nodes(level)`, for each level from the first."""
    confidence_NL: Floats

    @property
    def leaf_N(self) -> Codes:
        return self.node_NL[:, -1]


def decide(probability_NC: Floats, taxonomy: Taxonomy) -> Decision:
    """Walk down the tree: at each level the most probable child of the node above.

    A node's probability is the sum over its leaves, so that the first level does not suffer from a doubt between two
    leaves of one parent.
    """
    rows = np.arange(len(probability_NC))
    allowed_NC = np.ones(probability_NC.shape, np.bool_)
    nodes, sure = [], []
    for level in range(1, taxonomy.depth + 1):
        node_C = np.array(taxonomy.node_of_leaf(level))
        member_CM = node_C[:, None] == np.arange(node_C.max() + 1)
        mass_NM = (probability_NC * allowed_NC) @ member_CM.astype(np.float32)
        open_NM = (allowed_NC.astype(np.float32) @ member_CM.astype(np.float32)) > 0
        chosen_N = np.where(open_NM, mass_NM, -1.0).argmax(axis=1)
        nodes.append(chosen_N)
        sure.append(mass_NM[rows, chosen_N])
        allowed_NC &= node_C[None] == chosen_N[:, None]
    return Decision(np.stack(nodes, axis=1).astype(np.int64), np.stack(sure, axis=1).astype(np.float32))
