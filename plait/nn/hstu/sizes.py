"""The sizes and switches of an HSTU."""

from dataclasses import dataclass
from typing import Literal

AttentionKind = Literal["silu", "softmax"]
"""What becomes of a score: `SiLU(score) / max_events` as published, or a softmax over the events before."""


@dataclass(frozen=True, slots=True)
class HstuSizes:
    """Sizes of an HSTU as published, and what an ablation switches off.

    Zhai et al. 2024, "Actions Speak Louder than Words", section 3 and table 6.
    """

    width: int
    """D: of tokens and states."""
    heads: int
    query_width: int
    """Of a head's queries and keys."""
    value_width: int
    """Of a head's values and gates."""
    blocks: int
    max_events: int
    """The longest sequence. Also the n that attention is divided by: a constant, so that padding changes nothing."""
    dropout: float = 0.2
    """Share of the gated attention output that is dropped in training."""
    attention: AttentionKind = "silu"
    distance_bias: bool = True
    """Add a weight by how many places two events lie apart."""
    time_bias: bool = True
    """Add a weight by how much time lies between two events."""
    gate: bool = True
    """Multiply the attention's output by U."""

    def __post_init__(self) -> None:
        for name in ("width", "heads", "query_width", "value_width", "blocks", "max_events"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")

    @property
    def parts(self) -> list[int]:
        """Widths of U, V, Q and K side by side."""
        mixed, asked = self.heads * self.value_width, self.heads * self.query_width
        return [mixed, mixed, asked, asked]
