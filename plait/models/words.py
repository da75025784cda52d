"""Words of the items' text and category columns, as codes: what `item_text` adds to an item's vector."""

import numpy as np
import polars as pl
import torch

from plait.models.next_item import ItemWords
from plait.schema import Columns as C

LEAST_ITEMS = 2
"""A word that fewer items have says nothing that the item's id does not."""


def item_words(items: pl.DataFrame) -> ItemWords:
    """The lower-case words (letters and digits of any script) of every text column, each once per item.

    A word counts once per column it occurs in: "drama" as a genre is not "drama" in a title. Numbers that are years or
    codes are words of their column too.

    Args:
        items: the catalogue, one row per item.
    """
    columns = [name for name, dtype in items.schema.items() if name != C.ITEM_ID and not dtype.is_nested()]
    words = [_words(items, name) for name in columns]
    every = pl.concat([pl.DataFrame(schema={"item": pl.Int64, "word": pl.String}), *words])
    shared = every.with_columns(items=pl.len().over("word")).filter(pl.col("items") >= LEAST_ITEMS)
    codes = shared.sort("item", "word").with_columns(code=pl.col("word").rank("dense").cast(pl.Int64) - 1)
    count_V = np.bincount(codes["item"].to_numpy(), minlength=len(items))
    return ItemWords(
        offsets_V=torch.from_numpy(np.cumsum(count_V) - count_V),
        word_M=torch.from_numpy(codes["code"].to_numpy().copy()),
        size=max(1, codes["code"].n_unique()),
    )


def _words(items: pl.DataFrame, column: str) -> pl.DataFrame:
    text = pl.col(column)
    if items.schema[column].is_float():
        text = text.cast(pl.Int64, strict=False)
    return (
        items.select(item=pl.int_range(pl.len(), dtype=pl.Int64), word=text.cast(pl.String).str.to_lowercase())
        .with_columns(pl.col("word").str.extract_all(r"[\p{L}\p{N}']+"))
        .explode("word")
        .drop_nulls()
        .with_columns(word=pl.lit(f"{column}:") + pl.col("word"))
        .unique(maintain_order=True)
    )
