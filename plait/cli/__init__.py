"""The command line: one file per command, no logic."""

from plait.cli.app import main

__all__ = ["main"]
