"""The simulated app market: a documented world with known truth."""

from plait.simulation.explain import explain
from plait.simulation.generate import simulate
from plait.simulation.sizes import SIZES, Size, named_size, stream_size
from plait.simulation.strengths import Strengths

__all__ = ["SIZES", "Size", "Strengths", "explain", "named_size", "simulate", "stream_size"]
