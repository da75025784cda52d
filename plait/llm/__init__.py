"""Language models: what turns texts into vectors, and what writes."""
