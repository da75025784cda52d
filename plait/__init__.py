"""Plait: recommendation and advertising with large models, from raw tables to a served, measured ranker."""

__version__ = "0.1.0"
