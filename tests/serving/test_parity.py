"""Features and scores of logged requests, recomputed from samples by the code that training uses."""

import asyncio
import shutil

import httpx
import numpy as np
import polars as pl
import pytest
import torch
from serving_world import CALIBRATED, CUT_MS, SIZES

from plait.features.dataset import EncodedDataset
from plait.features.encoding import encode_samples
from plait.models.batch import Batch
from plait.models.loading import load_model
from plait.models.ranker import SplitRanker
from plait.retrieval.build import build_retrieval
from plait.retrieval.window import available_times, training_events, training_lengths
from plait.schema import Split
from plait.serving.app import create_app
from plait.serving.auth import Authoriser
from plait.serving.loading import load_engine
from plait.serving.request_log import RequestLog, RequestLogSettings
from plait.serving.service import Service, ServiceSettings
from plait.serving.state import UserStates


def serve(world, family, log_folder, talk):
    """Run `talk(client)` against a server of the world as it stood on day 16; gives back what was logged."""
    registered = world.registry.resolve(family)

    def load(_):
        return load_engine(registered, world.cut_data, world.made.workspace, candidates=500, log=True)

    async def run():
        log = RequestLog(log_folder, RequestLogSettings(rows_per_file=10_000))
        settings = ServiceSettings(deadline_ms=60_000.0, max_k=100, model=family)
        service = Service(settings, load, UserStates(), request_log=log)
        app = create_app(service, Authoriser(None))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            while service.engine is None:
                assert service.failure is None, service.failure
                await asyncio.sleep(0.01)
            await talk(client)

    asyncio.run(run())
    files = sorted(log_folder.glob("*.parquet"))
    return pl.read_parquet(files).rows(named=True)


def logged_exposures(world):
    return pl.read_parquet(sorted((world.made.samples / "exposures").glob("*.parquet")))


def ask_for(exposure):
    """The request that this exposure would have come from."""
    names = ("position", "network", "battery", "hints")
    context = {name: exposure[name] for name in names if exposure[name] is not None}
    return {
        "user_id": exposure["user_id"],
        "scenario": exposure["scenario"],
        "k": 30,
        "time": exposure["time"],
        "context": context,
        "query": exposure["query"],
    }


def lists(offsets, codes, bags):
    """The codes of some bags."""
    return [list(codes[offsets[bag] : offsets[bag + 1]]) for bag in bags]


def compare(world, family, records, exposures):
    """Each record's row of the exposure's item and creative against the training code on the whole samples."""
    model = load_model(world.registry.resolve(family))
    place = {name: row for row, name in enumerate(world.whole.exposure_ids(np.arange(len(world.whole))).to_list())}
    compared = 0
    for record, exposure in zip(records, exposures, strict=True):
        rows_B = np.array([place[exposure["exposure_id"]]])
        before = int(world.whole.before(rows_B)[0])
        length = model.window(before) if isinstance(model, SplitRanker) else model.history
        offline = world.whole.impression_batch(rows_B, length)
        with torch.inference_mode():
            expected = torch.sigmoid(model(Batch.from_features(offline))).numpy()[0]
        row = next(
            index
            for index, pair in enumerate(zip(record["item_id"], record["creative_id"], strict=True))
            if pair == (str(exposure["item_id"]), str(exposure["creative_id"]))
        )
        rows = len(record["item_id"])
        categorical = np.array(record["categorical"]).reshape(rows, -1)[row]
        numeric = np.array(record["numeric"]).reshape(rows, -1)[row]
        bag_P = np.array(record["bag"]).reshape(rows, -1)[row]
        probability = np.array(record["probability"]).reshape(rows, -1)[row]
        np.testing.assert_array_equal(categorical, offline.categorical_BF[0])
        logged = lists(record["token_offset"], record["token"], bag_P)
        assert logged == lists(offline.token_offsets_J1, offline.token_codes_N, offline.bag_BP[0])
        np.testing.assert_allclose(numeric, offline.numeric_BG[0], atol=1e-5, rtol=0)
        np.testing.assert_allclose(probability, expected, atol=1e-5, rtol=0)
        compared += 1
    return compared


@pytest.mark.parametrize("family", [*SIZES, *CALIBRATED])
def test_requests_at_past_exposures_equal_training(world, family, tmp_path):
    """The model's own data: a request at an exposure's time sees the prefix of the history that the sample saw."""
    shown = logged_exposures(world).filter((pl.col("time") < CUT_MS) & pl.col("creative_id").is_not_null())
    exposures = shown.sample(25, seed=1).rows(named=True)

    async def talk(client):
        for exposure in exposures:
            answer = await client.post("/v1/recommend", json=ask_for(exposure))
            assert answer.status_code == 200, answer.text
            assert answer.json()["degraded"] == []

    records = serve(world, family, tmp_path, talk)
    assert compare(world, family, records, exposures) == 25


@pytest.mark.parametrize("family", ["dnn", "hstu"])
def test_behaviours_that_arrive_online_equal_a_batch_recomputation(world, family, tmp_path):
    """What users did after day 16 comes over HTTP, shuffled between users and in part twice; then requests follow."""
    later = [
        {"user_id": row["user_id"], "item_id": item, "action": action, "value": value, "scenario": scenario,
         "time": time, "received_time": available}
        for part in sorted((world.made.samples / "users").glob("*.parquet"))
        for row in pl.read_parquet(part).iter_rows(named=True)
        for item, action, value, scenario, time, available in zip(
            *(row[name] for name in ("item_id", "action", "value", "scenario", "time", "available_time")), strict=True
        )
        if available >= CUT_MS
    ]  # fmt: skip
    random = np.random.default_rng(2)
    shuffled = [later[place] for place in random.permutation(len(later))]
    shown = logged_exposures(world).filter((pl.col("time") >= CUT_MS) & pl.col("creative_id").is_not_null())
    exposures = shown.rows(named=True)[:40]

    async def talk(client):
        for start in range(0, len(shuffled), 100):
            sent = shuffled[start : start + 100]
            answer = await client.post("/v1/behaviours", json={"behaviours": sent + sent[:5]})
            assert answer.json() == {"accepted": len(sent), "repeated": len(sent[:5]), "refused": []}
        for exposure in exposures:
            assert (await client.post("/v1/recommend", json=ask_for(exposure))).status_code == 200

    records = serve(world, family, tmp_path, talk)
    assert len(later) > 300
    assert compare(world, family, records, exposures) == len(exposures)


def test_what_the_data_holds_already_counts_once(world, tmp_path):
    """A platform that sends again what the model's data was built from changes nothing."""
    part = pl.read_parquet(sorted((world.made.samples / "users").glob("*.parquet"))[0]).row(0, named=True)
    again = [
        {"user_id": part["user_id"], "item_id": item, "action": action, "value": value, "scenario": scenario,
         "time": time, "received_time": available}
        for item, action, value, scenario, time, available in zip(
            *(part[name] for name in ("item_id", "action", "value", "scenario", "time", "available_time")), strict=True
        )
        if available < CUT_MS
    ]  # fmt: skip
    request = {"user_id": part["user_id"], "scenario": "search", "k": 5, "time": CUT_MS}

    async def talk(client):
        await client.post("/v1/recommend", json=request)
        await client.post("/v1/behaviours", json={"behaviours": again})
        await client.post("/v1/recommend", json=request)

    first, second = serve(world, "dnn", tmp_path, talk)
    assert len(again) > 50
    assert first["history"] == second["history"] > 0
    assert first["probability"] == second["probability"]


def test_retrieval_looks_at_the_training_window_only(world, tmp_path):
    """Everything after it altered: the same lists to the bit."""
    root = tmp_path
    shutil.copytree(world.made.samples, root / "samples")
    train_end = int(logged_exposures(world).filter(pl.col("split") != "train")["time"].min())
    for path in sorted((root / "samples" / "exposures").glob("*.parquet")):
        frame = pl.read_parquet(path)
        flipped = pl.when(pl.col("split") == "train").then(pl.col("label_click")).otherwise(1 - pl.col("label_click"))
        frame.with_columns(flipped.cast(pl.Int8).alias("label_click")).write_parquet(path)
    for path in sorted((root / "samples" / "users").glob("*.parquet")):
        users = pl.read_parquet(path)
        rows = users.rows(named=True)
        for row in rows:
            both = zip(row["item_id"], row["available_time"], strict=True)
            row["item_id"] = [100 if at >= train_end else item for item, at in both]
        pl.DataFrame(rows, schema=users.schema).write_parquet(path)
    workspace = world.made.workspace
    encode_samples(root / "samples", world.made.tables, workspace, root / "encoded")
    changed = EncodedDataset.open(root / "encoded")
    for dataset, samples, out in ((world.whole, world.made.samples, "one"), (changed, root / "samples", "two")):
        build_retrieval(dataset, samples, world.made.tables, workspace=workspace, out=root / out)
    for name in ("popular/items", "popular/scores", "item_to_item/neighbours", "item_to_item/similarities"):
        one, two = (np.load(root / out / f"{name}.npy") for out in ("one", "two"))
        np.testing.assert_array_equal(one, two, err_msg=name)
    available = available_times(world.whole, world.made.samples)
    lengths = training_lengths(world.whole, available)
    offsets, item = training_events(world.whole, available, frozenset({"click"}))
    assert 0 < lengths.sum() < len(available)
    assert (item == -1).sum() > 0
    assert offsets[-1] == len(item) == lengths.sum()
    assert len(world.whole.rows(Split.TEST)) > 0
