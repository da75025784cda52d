"""Behaviour as text, and text as vectors: what the rankers learn from a language model without running one."""
