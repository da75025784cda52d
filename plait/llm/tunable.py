"""Encoders whose last layers can learn: cut in two, what comes before these and the layers themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plait.config.embedding import EncoderSettings
from plait.errors import ConfigError
from plait.llm.encode import TextEncoder
from plait.llm.encoders import open_encoder


@runtime_checkable
class TunableEncoder(Protocol):
    """What a `TextEncoder` offers beside, if its layers are within reach."""

    @property
    def depth(self) -> int:
        """How many layers it has."""

    def states(self, texts: Sequence[str], layers: int) -> list[NDArray[np.float16]]:
        """What goes into the last `layers` layers: `[L, D]` of each text's L tokens, at least one."""

    def top(self, layers: int) -> nn.Module:
        """A copy of the last layers and the pooling: from states `[N, L, D]` and lengths `[N]` to vectors `[N, W]`.

        `top(layers)` of `states(texts, layers)` is what `encode` gives of the texts, but for rounding.
        """


class CutEncoder(TextEncoder, TunableEncoder, Protocol):
    """Both."""


def open_tunable(settings: EncoderSettings, layers: int, root: Path = Path()) -> CutEncoder:
    """The encoder of the settings, for its last layers to learn.

    Args:
        settings: which one.
        layers: how many are to learn.
        root: folder that relative paths of models start from: the workspace's.

    Raises:
        ConfigError: its layers are out of reach, or it has fewer.
    """
    encoder = open_encoder(settings, root)
    if not isinstance(encoder, TunableEncoder):
        raise ConfigError(
            f"encoder {encoder.name} (kind '{settings.kind}'): its layers cannot learn; expected kind 'minilm' or "
            "'causal', or align.tuned_layers = 0"
        )
    if layers > encoder.depth:
        raise ConfigError(f"align.tuned_layers is {layers}: encoder {encoder.name} has {encoder.depth} layers")
    return encoder
