"""Importers, checks, attribution, samples, sequences and splits."""
