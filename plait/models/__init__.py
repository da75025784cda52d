"""Whole models: single-device, knowing nothing of training."""
