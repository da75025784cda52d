"""Hierarchical Sequential Transduction Units (HSTU) over jagged batches of event sequences."""

from plait.nn.hstu.attention import attention_version, hstu_attention
from plait.nn.hstu.clock import EventClock
from plait.nn.hstu.encoder import HstuEncoder, HstuLayer
from plait.nn.hstu.sizes import AttentionKind, HstuSizes

__all__ = [
    "AttentionKind",
    "EventClock",
    "HstuEncoder",
    "HstuLayer",
    "HstuSizes",
    "attention_version",
    "hstu_attention",
]
