"""What pixels say: pure functions from an RGB picture to numbers and names."""
