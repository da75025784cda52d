"""The simulation stage: a named world, whole or for streaming, into a folder."""

from collections.abc import Sequence
from pathlib import Path

from plait.simulation import Strengths, explain, named_size, simulate, stream_size


def simulate_world(
    folder: Path,
    *,
    size: str,
    seed: int,
    users: int | None = None,
    days: int | None = None,
    events: int | None = None,
    null: Sequence[str] = (),
    media: bool = True,
    processes: int | None = None,
) -> None:
    """Write the world called `size` into `folder`; `null` names the ingredients whose strength is 0.

    Raises:
        ConfigError: a name is unknown.
        DataError: the folder holds another world.
    """
    strengths = Strengths().without(*null)
    extent = stream_size(events) if size == "stream" and events is not None else named_size(size)
    changes = {key: value for key, value in (("users", users), ("days", days)) if value is not None}
    simulate(
        extent.model_copy(update=changes),
        folder,
        seed=seed,
        strengths=strengths,
        media=media,
        processes=processes,
        name=f"simulated-{size}",
    )


def explain_world(folder: Path) -> str:
    """A table of the AUC that the known parts of the truth bring, for the world in `folder`.

    Raises:
        DataError: the folder holds no simulated world.
    """
    return explain(folder)
