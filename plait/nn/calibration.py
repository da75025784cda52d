"""Calibration curves as a layer: logits of exposures in known scenarios to calibrated logits."""

import torch
from torch import Tensor, nn


class CurveLayer(nn.Module):
    """A rising piecewise-linear function per scenario and objective, from logit to logit.

        f(z) = value + below min(z - x_1, 0) + sum_k slope_k clip(z - x_k, 0, x_{k+1} - x_k),  x_{K+1} infinite

    Row 0 of each table is for scenarios that are not known (-1), row s + 1 for scenario s.

    Args:
        rows: S + 1.
        objectives: T.
        knots: K.
    """

    def __init__(self, rows: int, objectives: int, knots: int) -> None:
        super().__init__()
        for name, shape in (
            ("knot_STK", (rows, objectives, knots)),
            ("value_ST", (rows, objectives)),
            ("below_ST", (rows, objectives)),
            ("slope_STK", (rows, objectives, knots)),
        ):
            self.register_buffer(name, torch.zeros(shape))

    knot_STK: Tensor
    value_ST: Tensor
    below_ST: Tensor
    slope_STK: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """S + 1, T, K."""
        rows, objectives, knots = self.knot_STK.shape
        return rows, objectives, knots

    def forward(self, logits_BT: Tensor, scenario_B: Tensor) -> Tensor:
        """Calibrated logits `[B, T]`.

        Args:
            logits_BT: a ranker's.
            scenario_B: index of each exposure's scenario, -1 where it is not known.
        """
        row_B = scenario_B.long() + 1
        knot_BTK = self.knot_STK[row_B]
        beyond_BTK = logits_BT[:, :, None] - knot_BTK
        # Beyond the last knot there is no limit.
        within_BTK = torch.minimum(beyond_BTK[..., :-1].relu(), knot_BTK[..., 1:] - knot_BTK[..., :-1])
        above_BTK = torch.cat([within_BTK, beyond_BTK[..., -1:].relu()], dim=-1)
        below_BT = self.below_ST[row_B] * beyond_BTK[..., 0].clamp(max=0.0)
        return self.value_ST[row_B] + below_BT + (above_BTK * self.slope_STK[row_B]).sum(-1)
