"""Pages: what people would rather look at than read."""

from plait.console.report import render_report

__all__ = ["render_report"]
