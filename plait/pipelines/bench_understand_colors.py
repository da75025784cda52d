"""The colour measure against people's names: fashion photographs and the base colour that a shop gave each product."""

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from plait.content.measures.color import dominant_color, white_of
from plait.content.measures.light import light_level
from plait.content.measures.regions import Pixels, split_regions
from plait.errors import DataError
from plait.pipelines.results import Metric, share_metric, write_result
from plait.schema import Color
from plait.telemetry import progress


def measure_colors(
    data_folder: Path, photographs: int = 2_000, *, write: bool = True
) -> tuple[dict[str, Metric], Path | None]:
    """The share of photographs whose product has the colour that the shop says, over all and by colour.

    Only base colours that end in a basic term are compared ("Navy Blue" is blue; "Maroon" is left out). The product is
    what is not the flat ground; people who wear it are part of it.

    Raises:
        DataError: the data is not there.
    """
    folder = data_folder / "fashion"
    if not (folder / "images.zip").is_file():
        raise DataError(f"{folder}: found no images.zip; name the folder of data sets by --data-folder or PLAIT_DATA")
    rows = _compared(folder, photographs)
    right = [said == found for said, found in rows]
    metrics = {"agreement": share_metric(sum(right), len(rows))}
    for color in Color:
        own = [found for said, found in rows if said == color]
        if own:
            metrics[f"agreement.{color}"] = share_metric(own.count(color), len(own))
    return metrics, _write(metrics, rows, photographs) if write else None


def _compared(folder: Path, photographs: int) -> list[tuple[Color, Color]]:
    """(the shop's colour, the measured one) of photographs drawn at random."""
    table = pl.read_csv(folder / "styles.csv.gz", infer_schema_length=None)
    terms = table["baseColour"].str.to_lowercase().str.split(" ").list.last()
    named = table.with_columns(terms.alias("term")).filter(pl.col("term").is_in([color.value for color in Color]))
    chosen = named[np.random.default_rng(0).permutation(named.height)[:photographs]]
    found = []
    with zipfile.ZipFile(folder / "images.zip") as archive, progress("look at photographs", chosen.height) as advance:
        for name, term in chosen.select("id", "term").iter_rows():
            found.append((Color(term), _product_color(_picture(archive.read(f"images/{name}.jpg")))))
            advance()
    return found


def _picture(content: bytes) -> Pixels:
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _product_color(pixels: Pixels) -> Color:
    regions = split_regions(pixels)
    seen = regions.picture if regions.picture.any() else ~regions.letters
    return dominant_color(pixels, seen, white_of(light_level(pixels, regions)))[0]


def _write(metrics: dict[str, Metric], rows: list[tuple[Color, Color]], photographs: int) -> Path:
    wrong = Counter((said, found) for said, found in rows if said != found).most_common(6)
    mistakes = "; ".join(f"{said} as {found}: {count}" for (said, found), count in wrong)
    return write_result(
        "understand_colors",
        command=f"plait bench understand-colors --data-folder DATA --photographs {photographs}",
        data=f"{len(rows):,} fashion photographs (60 x 80 pixels), drawn at random from those with a basic colour term",
        seeds=[0],
        metrics=metrics,
        notes=(
            "Share whose measured colour, of what is not the flat ground, is the one that the shop gave the product. "
            f"Photographs often show more than the product: skin, other clothes. Commonest: {mistakes}."
        ),
    )
