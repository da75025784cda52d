"""HSTU layers over jagged sequences: the user tower."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.nn.hstu.attention import hstu_attention, whole_layer_fits
from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.sizes import HstuSizes
from plait.nn.time_buckets import TIME_BUCKETS


class HstuEncoder(nn.Module):
    """A stack of HSTU layers over event tokens in order of arrival.

    The state after event i depends on events 0..i and on the clock's row time of i only.
    """

    def __init__(self, sizes: HstuSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.layers = nn.ModuleList(HstuLayer(sizes) for _ in range(sizes.blocks))

    def forward(self, token_ND: Tensor, clock: EventClock) -> Tensor:
        """States `[N, D]`.

        Args:
            token_ND: event tokens of all sequences, one behind the other.
            clock: the sequences and their times.

        Raises:
            ValueError: a sequence is longer than `max_events`.
        """
        if clock.longest > self.sizes.max_events:
            raise ValueError(
                f"a sequence has {clock.longest} events, expected at most max_events = {self.sizes.max_events}"
            )
        state_ND = token_ND
        for layer in self.layers:
            state_ND = layer(state_ND, clock)
        return state_ND


class HstuLayer(nn.Module):
    """One HSTU layer.

    With `LN` a layer norm without affine part and `rab` a relative bias by distance and by time bucket, shared by the
    heads:

        U, V, Q, K = split(SiLU(LN(x) W))
        A = SiLU(Q K^T + rab) / n, causal
        y = Linear(dropout(U * LN(A V))) + x

    Zhai et al. 2024, "Actions Speak Louder than Words", section 3.1 and equations 1 to 3; the residual and the dropout
    are of the published code.
    """

    def __init__(self, sizes: HstuSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.project = nn.Linear(sizes.width, sum(sizes.parts), bias=False)
        nn.init.normal_(self.project.weight, std=0.02)
        self.output = nn.Linear(sizes.heads * sizes.value_width, sizes.width)
        nn.init.xavier_uniform_(self.output.weight)
        self.distance_bias = nn.Parameter(torch.randn(sizes.max_events) * 0.02) if sizes.distance_bias else None
        self.time_bias = nn.Parameter(torch.randn(TIME_BUCKETS) * 0.02) if sizes.time_bias else None

    def forward(self, state_ND: Tensor, clock: EventClock) -> Tensor:
        """States `[N, D]` of the next layer."""
        if whole_layer_fits(state_ND, clock, self.sizes.attention):
            return self._fused(state_ND, clock)
        gate_NM, value_NHV, query_NHK, key_NHK = self.prepare(state_ND)
        return self.finish(state_ND, gate_NM, self.attend(query_NHK, key_NHK, value_NHV, clock))

    def _fused(self, state_ND: Tensor, clock: EventClock) -> Tensor:
        """As `forward`, in one operator."""
        from plait.nn.hstu.layer_cpu import LayerWeights, cpu_layer  # noqa: PLC0415 - compiles kernels

        weights = LayerWeights(
            self.project.weight, self.output.weight, self.output.bias, self.distance_bias, self.time_bias
        )
        return cpu_layer(state_ND, weights, clock, self.sizes, self.sizes.dropout if self.training else 0.0)

    def prepare(self, state_ND: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """U `[N, H * V]`, V `[N, H, V]`, Q and K `[N, H, K]` of events."""
        sizes = self.sizes
        projected = functional.silu(self.project(functional.layer_norm(state_ND, (sizes.width,))))
        gate_NM, value_NM, query_NM, key_NM = projected.split_with_sizes(sizes.parts, dim=1)
        by_query = (-1, sizes.heads, sizes.query_width)
        value_NHV = value_NM.view(-1, sizes.heads, sizes.value_width)
        return gate_NM, value_NHV, query_NM.view(by_query), key_NM.view(by_query)

    def attend(self, query_NHK: Tensor, key_NHK: Tensor, value_NHV: Tensor, clock: EventClock) -> Tensor:
        """What attention mixes for every event, `[N, H, V]`."""
        return hstu_attention(
            query_NHK,
            key_NHK,
            value_NHV,
            clock,
            distance_bias_P=self.distance_bias,
            time_bias_Z=self.time_bias,
            max_events=self.sizes.max_events,
            kind=self.sizes.attention,
        )

    def finish(self, state_ND: Tensor, gate_NM: Tensor, mixed_NHV: Tensor) -> Tensor:
        """The layer's output from what attention mixed."""
        mixed_NM = functional.layer_norm(mixed_NHV.flatten(1), (gate_NM.shape[1],))
        if self.sizes.gate:
            mixed_NM = gate_NM * mixed_NM
        update_ND: Tensor = self.output(functional.dropout(mixed_NM, self.sizes.dropout, self.training))
        return update_ND + state_ND
