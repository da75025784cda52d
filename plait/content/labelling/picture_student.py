"""A picture network that learns a classifier's answers from the pictures themselves, and then gives answers of its own.

The light classifier sees a picture through a network that was made for other pictures. Here a network is trained on the
pictures at hand: on what people said of a few, and on what the classifier believes of the others, each time shifted,
zoomed, mirrored, lit otherwise. Its answers err in other places than the classifier's, and what both believe is
better than either (Xie et al. 2020, "Self-training with Noisy Student").
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (what everybody calls it)
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from plait.content.labelling.linear import Floats
from plait.content.vision.network import open_network
from plait.errors import ContentError
from plait.telemetry import progress

_FIXED_BLOCKS = 3
"""Blocks from the first on that are left as they are: edges and colours are the same everywhere, and learning them
would cost a third of the time."""
_RISING = 0.2
"""Share of the steps in which the learning rate rises."""
_SETTLING = 12
"""Batches on which the fixed blocks' means and variances are taken anew."""


class StudentSettings(BaseModel):
    """Settings of the picture network's training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = 3
    further_epochs: int = 2
    """In each lesson after the first."""
    batch: int = 64
    rate: float = 1e-3
    """Highest learning rate of the network; that of the last layer is three times as much."""
    decay: float = 0.02
    dropout: float = 0.2
    side: int = 112
    """Pixels of the square that the network looks at."""
    zoom: tuple[float, float] = (0.8, 1.05)
    """Share of the picture's width and height that is seen."""
    shift: float = 0.075
    """Share of the picture's width and height by which it is moved at most."""
    light: float = 0.15
    """By how much brightness is multiplied at most, up or down."""
    seed: int = 0


class PictureStudent:
    """A network and the pictures that it learns from.

    Args:
        pictures: small, as `vision.layout.small_picture` gives them.
        labels: how many there are.
        settings: how it learns.

    Raises:
        ContentError: a picture cannot be read.
    """

    def __init__(self, pictures: Sequence[bytes], labels: int, settings: StudentSettings) -> None:
        self._settings = settings
        self._pixel_NCHW = torch.from_numpy(np.stack([_pixels(one) for one in pictures])).permute(0, 3, 1, 2)
        self._lessons = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self._network = _Network(labels, settings.dropout)
            batches = _batches(len(pictures), 2 * settings.batch)
            self._network.settle(_augmented(self._pixel_NCHW[rows], settings) for rows in batches)

    def learn(self, answer_NC: Floats) -> Floats:
        """Log-probabilities [N, C] of the labels, after it has learnt the given probabilities of them.

        The first lesson takes all epochs, each further one goes on from there with the fewer epochs of that.
        """
        settings, first = self._settings, self._lessons == 0
        epochs = settings.epochs if first else settings.further_epochs
        self._lessons += 1
        answer = torch.from_numpy(np.ascontiguousarray(answer_NC, np.float32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed + self._lessons)
            self._train(answer, epochs, 1.0 if first else 0.5)
            return self._network.answers(self._pixel_NCHW, settings)

    def _train(self, answer_NC: Tensor, epochs: int, pace: float) -> None:
        """Some epochs in which the learning rate rises to `pace` times the settings' and falls again."""
        network, settings = self._network, self._settings
        learnt = [weight for weight in network.body.parameters() if weight.requires_grad]
        groups = [
            {"params": learnt, "lr": pace * settings.rate},
            {"params": list(network.last.parameters()), "lr": 3 * pace * settings.rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.decay)
        steps = epochs * _steps(len(answer_NC), settings.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rise_and_fall((step + 0.5) / steps))
        network.train()
        with progress("a picture network learns", steps) as advance:
            for rows in (rows for _ in range(epochs) for rows in _batches(len(answer_NC), settings.batch)):
                said_BC = torch.log_softmax(network(_augmented(self._pixel_NCHW[rows], settings)), dim=1)
                loss = -(answer_NC[rows] * said_BC).sum(dim=1).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                advance()


class _Network(nn.Module):
    """EfficientNet-lite0 with a last layer of its own; first blocks and filters in the plane stay as they are."""

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        net = open_network("lite0")
        blocks = list(net._blocks)
        self.fixed = nn.Sequential(net._conv_stem, net._bn0, net._swish, *blocks[:_FIXED_BLOCKS])
        self.body = nn.Sequential(*blocks[_FIXED_BLOCKS:], net._conv_head, net._bn1, net._swish)
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(net._fc.in_features, classes)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.fixed.requires_grad_(False)
        for layer in self.body.modules():  # the costliest to learn, and the first blocks' filters are fixed as well
            if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                layer.weight.requires_grad_(False)

    def forward(self, seen: Tensor) -> Tensor:
        return self.last(self.drop(self.body(self.fixed(seen)).mean(dim=(2, 3))))  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> "_Network":
        super().train(mode)
        self.fixed.eval()
        return self

    @torch.no_grad()
    def settle(self, batches: Any) -> None:
        """Take the fixed blocks' means and variances from these pictures (Li et al. 2018, adaptive normalisation)."""
        layers = [layer for layer in self.fixed.modules() if isinstance(layer, nn.BatchNorm2d)]
        for layer in layers:
            layer.momentum = None  # a mean over all batches
            layer.reset_running_stats()
            layer.train()
        for _, batch in zip(range(_SETTLING), batches, strict=False):
            self.fixed(batch)
        self.fixed.eval()

    @torch.no_grad()
    def answers(self, pixel_NCHW: Tensor, settings: StudentSettings) -> Floats:
        self.eval()
        parts = [
            torch.log_softmax(self(_upright(batch, settings.side)), dim=1)
            for batch in torch.split(pixel_NCHW, settings.batch)
        ]
        return torch.cat(parts).numpy()


def _rise_and_fall(share: float) -> float:
    """Of the highest learning rate, after a share of the steps: up in a straight line, down in a cosine's half."""
    return min(share / _RISING, 0.5 + 0.5 * math.cos(math.pi * (share - _RISING) / (1 - _RISING)))


def _steps(rows: int, batch: int) -> int:
    return max(1, rows // batch)


def _batches(rows: int, batch: int) -> Sequence[Tensor]:
    """All rows in a new order; what is left over at the end waits for the next epoch."""
    return torch.randperm(rows).tensor_split(_steps(rows, batch))


def _augmented(pixel_BCHW: Tensor, settings: StudentSettings) -> Tensor:
    """Pictures as the network sees them in training: zoomed, shifted, mirrored, lit otherwise."""
    rows = len(pixel_BCHW)
    turn_B23 = torch.zeros(rows, 2, 3)
    mirrored_B = 1 - 2 * torch.randint(2, (rows,))
    turn_B23[:, 0, 0] = torch.empty(rows).uniform_(*settings.zoom) * mirrored_B
    turn_B23[:, 1, 1] = torch.empty(rows).uniform_(*settings.zoom)
    turn_B23[:, :, 2] = torch.empty(rows, 2).uniform_(-2 * settings.shift, 2 * settings.shift)
    grid = F.affine_grid(turn_B23, [rows, 3, settings.side, settings.side], align_corners=False)
    seen = F.grid_sample(pixel_BCHW.float(), grid, padding_mode="border", align_corners=False)
    lit = torch.empty(rows, 1, 1, 1).uniform_(1 - settings.light, 1 + settings.light)
    return _normed(seen * lit + torch.empty(rows, 1, 1, 1).uniform_(-15, 15))


def _upright(pixel_BCHW: Tensor, side: int) -> Tensor:
    return _normed(F.interpolate(pixel_BCHW.float(), (side, side), mode="bicubic", align_corners=False))


def _normed(seen_BCHW: Tensor) -> Tensor:
    return ((seen_BCHW.clamp(0, 255) - 127) / 128).to(memory_format=torch.channels_last)


def _pixels(picture: bytes) -> NDArray[np.uint8]:
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    try:
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    except OSError as error:
        raise ContentError(
            f"found {len(picture)} bytes that are no small picture; run `plait understand` anew"
        ) from error
