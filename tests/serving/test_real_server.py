"""The whole way: a workspace on disk, `plait serve` in a process of its own, real HTTP, the measurement."""

import json
import os
import shutil

import pytest
from serving_world import SIZES

from plait.pipelines.bench_serve import LoadOptions, measure_server
from plait.pipelines.project import open_project
from plait.pipelines.serve import ServerOptions, run_server, served_data
from plait.registry import Registry

PLAIT_TOML = """
name = "small"
tables.users.path = "users"
tables.items.path = "items"
tables.creatives.path = "creatives"
tables.exposures.path = "exposures"
tables.behaviours.path = "behaviours"
scenarios = [{ name = "首页" }, { name = "search", kind = "search" }]
objectives = [{ name = "click", action = "click" }, { name = "install", action = "install" }]
serving.model = "dnn"
"""


@pytest.fixture(scope="module")
def project(world, tmp_path_factory):
    """The folder that check, samples, encode and train would have left."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "plait.toml").write_text(PLAIT_TOML)
    derived = root / ".plait" / "derived"
    shutil.copytree(world.made.tables, derived / "tables" / "t")
    shutil.copytree(world.made.samples, derived / "samples" / "s")
    shutil.copytree(world.cut_data.encoded.parent / "whole", derived / "encoded" / "e")
    (derived / "encoded" / "e" / "_done.json").write_text(json.dumps({"tables": "t", "samples": "s"}))
    registry = Registry(root / ".plait" / "registry")
    old = world.registry.resolve("dnn")
    registry.register("dnn", {name: old.path / name for name in old.manifest.files}, {"data_fingerprint": "e"})
    assert SIZES["dnn"]
    return open_project(root)


def test_retrieval_is_built_once(project):
    registered = Registry(project.hidden / "registry").resolve("dnn")
    data = served_data(project, registered)
    assert sorted(path.name for path in data.retrieval.iterdir()) == [
        "_done.json", "creatives", "events", "item_to_item", "popular",
    ]  # fmt: skip
    before = (data.retrieval / "_done.json").stat().st_mtime_ns
    assert served_data(project, registered).retrieval == data.retrieval
    assert (data.retrieval / "_done.json").stat().st_mtime_ns == before


def test_a_server_in_its_own_process_answers_under_load(project):
    measured = measure_server(project, LoadOptions(qps=20, seconds=2, candidates=30, items=5, write=False))
    assert measured.load.errors == 0, measured.load.failures
    assert len(measured.load.status_R) == 40
    assert 0 < measured.metrics["p50_ms"].value <= measured.metrics["p99_ms"].value < 5_000
    assert 0 < measured.ranked <= 30
    assert measured.path is None
    server, client, machine = (measured.metrics[f"{who}_cores"].value for who in ("server", "client", "machine"))
    assert server > 0.01
    assert client > 0.0
    assert server + client < machine + 0.5 <= (os.cpu_count() or 1) + 0.5


def test_a_model_whose_data_is_gone_is_refused(project):
    from plait.errors import ArtifactError, ServingError

    registry = Registry(project.hidden / "registry")
    old = registry.resolve("dnn@1")
    version = registry.register(
        "dnn", {name: old.path / name for name in old.manifest.files}, {"data_fingerprint": "gone"}
    )
    with pytest.raises(ArtifactError, match="train the model again"):
        served_data(project, registry.resolve(f"dnn@{version}"))
    with pytest.raises(ServingError, match="too much"):
        measure_server(project, LoadOptions(qps=5_000, seconds=3_000))
    with pytest.raises(ServingError, match="PLAIT_TOKEN"):
        run_server(project, ServerOptions(host="0.0.0.0"))
