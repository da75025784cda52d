"""Content understanding: what is in a creative, by a workflow of pretrained models."""
