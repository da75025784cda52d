"""Media files: opened once, probed, and looked at in a few frames, within limits."""
