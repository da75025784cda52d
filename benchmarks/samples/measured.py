"""What the three versions share: their arguments, a stopwatch, and the peak of their memory."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plait.telemetry import peak_memory_gb

_laps: list[float] = []


def exposures_done() -> None:
    """Note the moment at which the exposure samples are written and the user samples still to come."""
    _laps.append(time.perf_counter())


def main(build: Callable[[Path, dict[str, Any], Path], None]) -> None:
    """`python <version>.py TABLES SPECIFICATION OUT`: build the samples, print seconds and peak memory as JSON.

    The specification is a JSON file with `objectives` (as in plait.toml, parents before children), `cuts` and `as_of`
    (epoch milliseconds) and `threads`. Imports are not timed.
    """
    tables, specification, out = (Path(argument) for argument in sys.argv[1:])
    out.mkdir(parents=True)
    content = json.loads(specification.read_text(encoding="utf-8"))
    start = time.perf_counter()
    build(tables, content, out)
    seconds = time.perf_counter() - start
    exposures = _laps[-1] - start if _laps else seconds
    print(json.dumps({"seconds": seconds, "exposures_seconds": exposures, "peak_rss_gb": peak_memory_gb()}))
