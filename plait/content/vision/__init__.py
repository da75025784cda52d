"""Pretrained models that look: text, faces, things. Each is loaded once per process, on one thread."""
