"""What a server needs beside a model, built once: candidate lists, items' creatives, events' arrival times."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import Settings, Workspace
from plait.data.arrays import save_arrays
from plait.features.dataset import EncodedDataset
from plait.retrieval.item_to_item import ItemToItemSettings, build_item_to_item
from plait.retrieval.popular import PopularSettings, build_popular
from plait.retrieval.vector_index import TextNeighbours, unit_vectors
from plait.retrieval.window import available_times, objective_values, training_events, training_gains, unwanted_actions
from plait.schema import Columns as C
from plait.schema import TableName


class RetrievalSettings(Settings):
    """How candidate sources are built."""

    popular: PopularSettings = PopularSettings()
    item_to_item: ItemToItemSettings = ItemToItemSettings()


def build_retrieval(
    dataset: EncodedDataset,
    samples: Path,
    tables: Path,
    *,
    workspace: Workspace,
    out: Path,
    settings: RetrievalSettings | None = None,
    texts_RD: NDArray[np.float32] | None = None,
) -> None:
    """Write `popular/`, `item_to_item/`, `creatives/` and `events/` into `out`.

    Args:
        dataset: the encoded samples.
        samples: the samples that it was encoded from.
        tables: the checked tables.
        workspace: the objectives' values and actions.
        out: folder to fill.
        settings: of the sources.
        texts_RD: vectors of the items' texts by item row, zeros where there is none; with them, `text/` is written.

    Raises:
        DataError: samples and dataset do not fit.
    """
    settings = settings or RetrievalSettings()
    items = len(dataset.tables.items)
    gains = training_gains(dataset, objective_values(workspace))
    build_popular(gains, items, len(dataset.spec.scenarios), settings.popular).save(out / "popular")
    available_N = available_times(dataset, samples)
    save_arrays(out / "events", available=available_N)
    offsets_U1, item_N = training_events(dataset, available_N, unwanted_actions(workspace))
    build_item_to_item(offsets_U1, item_N, items, settings.item_to_item).save(out / "item_to_item")
    _save_creatives(dataset, tables, out / "creatives")
    if texts_RD is not None:
        TextNeighbours(unit_vectors(texts_RD)).save(out / "text")


def _save_creatives(dataset: EncodedDataset, tables: Path, out: Path) -> None:
    """Each item's creatives as jagged arrays of rows of the creative table, and each row's bid (NaN for none)."""
    items = len(dataset.tables.items)
    bid_C = np.full(len(dataset.tables.creatives), np.nan)
    files = sorted((tables / TableName.CREATIVES).glob("part-*.parquet"))
    if files:
        frame = pl.read_parquet(files)
        item_R = dataset.tables.items.ids.encode(frame[C.ITEM_ID])
        creative_R = dataset.tables.creatives.ids.encode(frame[C.CREATIVE_ID])
        bid_C[creative_R] = frame[C.BID].to_numpy() if C.BID in frame.columns else np.nan
        known = (item_R > 0) & (creative_R > 0)
        item_R, creative_R = item_R[known], creative_R[known]
    else:
        item_R, creative_R = np.empty(0, np.int32), np.empty(0, np.int32)
    order = np.lexsort((creative_R, item_R))
    offsets_V1 = np.concatenate([[0], np.cumsum(np.bincount(item_R, minlength=items))])
    save_arrays(out, offsets=offsets_V1.astype(np.int64), rows=creative_R[order].astype(np.int64), bids=bid_C)
