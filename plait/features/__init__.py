"""From samples to codes and numbers; the same code serves training and requests."""
