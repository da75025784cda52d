"""Hierarchical Sequential Transduction Units (HSTU) over jagged batches of event sequences."""

from plait.nn.hstu.attention import attention_version, hstu_attention
from plait.nn.hstu.candidates import encode_candidates
from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.encoder import HstuEncoder, HstuLayer
from plait.nn.hstu.sizes import AttentionKind, HstuSizes
from plait.nn.hstu.state import TowerState
from plait.nn.hstu.steps import EncoderSteps

__all__ = [
    "AttentionKind",
    "EncoderSteps",
    "EventClock",
    "HstuEncoder",
    "HstuLayer",
    "HstuSizes",
    "TowerState",
    "attention_version",
    "encode_candidates",
    "hstu_attention",
]
