"""Creatives with a person's labels, to measure labelling on: fashion photographs, KuaiRec captions, iFlytek apps."""

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.content.labelling.linear import Floats
from plait.content.taxonomy import Label, Path3, Taxonomy, load_taxonomy, make_taxonomy
from plait.content.vision.things import MODEL
from plait.data.artifacts import ArtifactStore, fingerprint_files
from plait.errors import DataError
from plait.telemetry import progress

DataName = Literal["fashion", "kuairec", "iflytek"]
_BATCH = 32
_UNKNOWN = "UNKNOWN"
_PARTS = ("tags", "features", "outlines")


@dataclass(frozen=True)
class LabelledCreatives:
    """Rows with a text, perhaps a picture, and the leaf that a person gave."""

    name: DataName
    language: Literal["zh", "en"]
    taxonomy: Taxonomy
    texts: list[str]
    label_N: NDArray[np.int64]
    pool_M: NDArray[np.int64]
    """Rows that examples are drawn from, and that are otherwise seen without their labels."""
    test_M: NDArray[np.int64]
    """Rows that are only ever answered, never learnt from."""
    tag_NV: Floats | None = None
    """Probabilities of ImageNet's classes."""
    picture_ND: Floats | None = None
    """Features of the photographs."""
    outline_NO: Floats | None = None
    """Outlines of the photographs."""

    @property
    def pictured(self) -> bool:
        """Whether there are photographs."""
        return self.picture_ND is not None

    @property
    def words(self) -> str:
        """What it was measured on."""
        return f"{self.name}: {len(self.texts):,} creatives, {len(self.taxonomy.leaves)} leaves"


def read_labelled(name: DataName, folder: Path, store: ArtifactStore) -> LabelledCreatives:
    """The data set in a folder of data sets.

    Args:
        name: which one.
        folder: holds `fashion/`, `kuairec/` and `iflytek/` as the publishers name their files.
        store: keeps the photographs' features, which take minutes.

    Raises:
        DataError: a file is missing.
    """
    return {"fashion": _fashion, "kuairec": _kuairec, "iflytek": _iflytek}[name](folder / name, store)


def _fashion(folder: Path, store: ArtifactStore) -> LabelledCreatives:
    table = pl.read_csv(_there(folder / "styles.csv.gz"), infer_schema_length=None)
    columns = ("masterCategory", "subCategory", "articleType")
    paths = [tuple(row) for row in table.select(columns).iter_rows()]
    taxonomy = load_taxonomy("fashion")
    pool_M, test_M = _halves(len(paths))
    pictures = _there(folder / "images.zip")
    names = [f"images/{one}.jpg" for one in table["id"].to_list()]
    inputs = {"pictures": fingerprint_files([pictures]), "network": MODEL, "version": 1}
    features = store.build("layout-features", inputs, lambda out: _look(pictures, names, out))
    tag_NV, picture_ND, outline_NO = (np.load(features / f"{part}.npy").astype(np.float32) for part in _PARTS)
    return LabelledCreatives(
        "fashion",
        "en",
        taxonomy,
        table["productDisplayName"].fill_null("").to_list(),
        _places(paths, taxonomy, folder),
        pool_M,
        test_M,
        tag_NV,
        picture_ND,
        outline_NO,
    )


def _kuairec(folder: Path, store: ArtifactStore) -> LabelledCreatives:
    table = pl.read_csv(_there(folder / "captions.csv.gz"), infer_schema_length=None)
    columns = [f"{level}_level_category_name" for level in ("first", "second", "third")]
    table = table.filter(pl.all_horizontal(pl.col(column) != _UNKNOWN for column in columns))
    paths = [tuple(row) for row in table.select(columns).iter_rows()]
    words = ("caption", "manual_cover_text", "topic_tag")
    parts = [table[word].fill_null("").replace(_UNKNOWN, "").to_list() for word in words]
    taxonomy = make_taxonomy("kuairec", [Label(path) for path in sorted(set(paths))])
    texts = [" ".join(part for part in row if part and part != "[]") for row in zip(*parts, strict=True)]
    return LabelledCreatives("kuairec", "zh", taxonomy, texts, _places(paths, taxonomy, folder), *_halves(len(texts)))


def _iflytek(folder: Path, store: ArtifactStore) -> LabelledCreatives:
    rows: list[tuple[str, str]] = []
    sizes = []
    for part in ("train", "dev"):
        with gzip.open(_there(folder / f"{part}_few_all.json.gz"), "rt", encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines]
        rows += [(row["sentence"], row["label_des"]) for row in found]
        sizes.append(len(found))
    taxonomy = make_taxonomy("iflytek", [Label((name,)) for name in sorted({name for _, name in rows})])
    split = np.arange(len(rows))
    return LabelledCreatives(
        "iflytek",
        "zh",
        taxonomy,
        [text for text, _ in rows],
        _places([(name,) for _, name in rows], taxonomy, folder),
        split[: sizes[0]],
        split[sizes[0] :],
    )


def _halves(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pool and test. The pool is the half on which settings were compared; no setting was scored on the other."""
    order = np.random.default_rng(0).permutation(rows)
    return np.sort(order[rows // 2 :]), np.sort(order[: rows // 2])


def _places(paths: Sequence[Path3], taxonomy: Taxonomy, folder: Path) -> NDArray[np.int64]:
    if strange := sorted({path for path in paths if path not in taxonomy.place}):
        raise DataError(f"{folder}: found the label {strange[0]}, which taxonomy {taxonomy.name} does not have; add it")
    return np.array([taxonomy.place[path] for path in paths], np.int64)


def _look(archive: Path, names: Sequence[str], out: Path) -> None:
    from PIL import Image  # noqa: PLC0415 (the `content` extra)

    from plait.content.vision.layout import layout_of  # noqa: PLC0415 (slow to import)

    parts: list[tuple[NDArray[np.float16], ...]] = []
    with zipfile.ZipFile(archive) as pictures, progress("look at photographs", len(names)) as advance:
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            opened = [np.asarray(Image.open(io.BytesIO(pictures.read(name))).convert("RGB")) for name in batch]
            found = layout_of(opened)
            blocks = (found.tag_BV, found.feature_BD, found.outline_BO)
            parts.append(tuple(block.astype(np.float16) for block in blocks))
            advance(len(batch))
    for name, blocks in zip(_PARTS, zip(*parts, strict=True), strict=True):
        np.save(out / f"{name}.npy", np.concatenate(blocks))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: found no such file; name the folder of data sets by --data-folder or PLAIT_DATA")
    return path
