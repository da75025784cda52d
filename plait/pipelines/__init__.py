"""One short, composition-only file per stage: what the command line and the console call."""
