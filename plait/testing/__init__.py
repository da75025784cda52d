"""Named fakes and makers of small data for tests: they prove wiring, never quality."""
