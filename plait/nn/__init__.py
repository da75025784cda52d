"""Building blocks of rankers: pure tensor code that knows no table, no specification and no training."""
