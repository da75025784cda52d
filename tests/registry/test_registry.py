import hashlib
import json
import multiprocessing
from pathlib import Path

import pytest

from plait.errors import ArtifactError
from plait.registry import Registry

MANIFEST = {
    "data_fingerprint": "abc",
    "config": {"width": 64},
    "metrics": {"auc": 0.75},
    "commit": "c0ffee",
    "recipe": "dnn",
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    weights, spec = tmp_path / "weights", tmp_path / "spec.json"
    weights.write_bytes(b"the weights")
    spec.write_text('{"fields": []}')
    return {"model.safetensors": weights, "features/spec.json": spec}


def test_a_version_holds_the_files_and_says_where_they_came_from(registry: Registry, files: dict[str, Path]):
    assert registry.register("ranker", files, MANIFEST) == 1
    model = registry.resolve("ranker")
    assert model.path == registry.root / "ranker" / "1"
    assert model.file().read_bytes() == b"the weights"
    assert model.file("features/spec.json").read_text() == '{"fields": []}'
    assert sorted(path.name for path in model.path.iterdir()) == ["features", "manifest.json", "model.safetensors"]
    manifest = model.manifest
    assert (manifest.name, manifest.version, model.reference) == ("ranker", 1, "ranker@1")
    assert (manifest.data_fingerprint, manifest.commit) == ("abc", "c0ffee")
    assert (manifest.config, manifest.metrics, manifest.details) == ({"width": 64}, {"auc": 0.75}, {"recipe": "dnn"})
    assert manifest.files["model.safetensors"] == hashlib.sha256(b"the weights").hexdigest()
    assert manifest.created.endswith("+00:00")
    with pytest.raises(ArtifactError, match=r"ranker@1 has no file 'other', only features/spec.json, model.safetens"):
        model.file("other")


def test_versions_count_up_and_are_never_changed(registry: Registry, files: dict[str, Path]):
    assert [registry.register("ranker", files, MANIFEST) for _ in range(3)] == [1, 2, 3]
    files["model.safetensors"].write_bytes(b"changed at the source")
    assert registry.resolve("ranker@2").file().read_bytes() == b"the weights"
    assert registry.versions("ranker") == [1, 2, 3]
    assert registry.resolve("ranker").version == registry.resolve("ranker@latest").version == 3
    assert registry.names() == ["ranker"]
    assert registry.versions("other") == []


def test_aliases_and_roll_back(registry: Registry, files: dict[str, Path]):
    for _ in range(3):
        registry.register("ranker", files, MANIFEST)
    for version in (1, 2, 2, 3):  # setting 2 twice is one step, not two
        registry.set_alias("ranker", "production", version)
    registry.set_alias("ranker", "canary", 2)
    assert registry.resolve("ranker@production").version == 3
    assert registry.aliases("ranker") == {"canary": 2, "production": 3, "latest": 3}
    assert registry.roll_back("ranker", "production") == 2
    assert registry.roll_back("ranker", "production") == 1
    assert registry.resolve("ranker@production").version == 1
    with pytest.raises(ArtifactError, match="ranker@production has always been version 1; there is nothing before it"):
        registry.roll_back("ranker", "production")
    registry.set_alias("ranker", "production", 3)
    assert registry.roll_back("ranker", "production") == 1
    story = [(event.how, event.version) for event in registry.history("ranker") if event.alias == "production"]
    assert story == [
        ("set", 1),
        ("set", 2),
        ("set", 3),
        ("roll_back", 2),
        ("roll_back", 1),
        ("set", 3),
        ("roll_back", 1),
    ]
    assert registry.aliases("ranker")["canary"] == 2


def test_damage_is_found_and_named(registry: Registry, files: dict[str, Path]):
    registry.register("ranker", files, MANIFEST)
    folder = registry.root / "ranker" / "1"
    (folder / "features" / "spec.json").write_text('{"fields": [1]}')
    with pytest.raises(ArtifactError, match=r"features/spec.json: is damaged: SHA-256"):
        registry.resolve("ranker")
    (folder / "features" / "spec.json").unlink()
    with pytest.raises(ArtifactError, match=r"features/spec.json: is missing from ranker@1"):
        registry.resolve("ranker")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest.json: is damaged"):
        registry.resolve("ranker")


def test_a_manifest_cannot_point_outside_its_folder(registry: Registry, files: dict[str, Path], tmp_path: Path):
    registry.register("ranker", files, MANIFEST)
    path = registry.root / "ranker" / "1" / "manifest.json"
    content = json.loads(path.read_text())
    content["files"] = {"../../../weights": content["files"]["model.safetensors"]}
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="cannot be a model's file"):
        registry.resolve("ranker")


def test_a_version_moved_by_hand_is_refused(registry: Registry, files: dict[str, Path]):
    registry.register("ranker", files, MANIFEST)
    (registry.root / "ranker" / "1").rename(registry.root / "ranker" / "7")
    with pytest.raises(ArtifactError, match="is of ranker@1, expected ranker@7"):
        registry.resolve("ranker@7")


@pytest.mark.parametrize("name", ["", "..", "../ranker", "a/b", ".hidden", "a b", "a" * 65, "ranker@1"])
def test_names_that_are_paths_or_nothing_are_refused(registry: Registry, files: dict[str, Path], name: str):
    with pytest.raises(ArtifactError, match="cannot name a model"):
        registry.register(name, files, MANIFEST)
    assert not registry.root.exists()


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("../model.safetensors", "expected a relative path"),
        ("/etc/model", "expected a relative path"),
        ("a//b", "expected a relative path"),
        ("model.pkl", "pickle"),
        ("weights.pt", "pickle"),
        ("manifest.json", "cannot become 'manifest.json'"),
    ],
)
def test_files_that_leave_the_folder_or_run_code_are_refused(
    registry: Registry, files: dict[str, Path], inside: str, message: str
):
    with pytest.raises(ArtifactError, match=message):
        registry.register("ranker", {inside: files["model.safetensors"]}, MANIFEST)
    assert registry.versions("ranker") == []


def test_a_failed_registration_leaves_nothing(registry: Registry, files: dict[str, Path], tmp_path: Path):
    with pytest.raises(ArtifactError, match="cannot become 'b'"):
        registry.register("ranker", {**files, "b": tmp_path / "missing"}, MANIFEST)
    with pytest.raises(ArtifactError, match="no files"):
        registry.register("ranker", {}, MANIFEST)
    with pytest.raises(ArtifactError, match="expected numbers, texts, lists and maps"):
        registry.register("ranker", files, {"config": {"model": object()}})
    assert list((registry.root / "ranker").iterdir()) == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("rankr", "there is no model 'rankr'; did you mean 'ranker'"),
        ("ranker@9", "model 'ranker' has no version 9; it has 1"),
        ("ranker@prodution", "no alias 'prodution'; did you mean 'production'"),
        ("ranker@", "names no model"),
        ("ranker@../1", "names no model"),
    ],
)
def test_references_that_lead_nowhere_say_what_there_is(
    registry: Registry, files: dict[str, Path], reference: str, message: str
):
    registry.register("ranker", files, MANIFEST)
    registry.set_alias("ranker", "production", 1)
    with pytest.raises(ArtifactError, match=message):
        registry.resolve(reference)


@pytest.mark.parametrize("alias", ["latest", "3", "a/b", ""])
def test_aliases_that_mean_something_else_are_refused(registry: Registry, files: dict[str, Path], alias: str):
    registry.register("ranker", files, MANIFEST)
    with pytest.raises(ArtifactError, match="cannot be"):
        registry.set_alias("ranker", alias, 1)


def test_a_folder_that_is_gone_when_it_is_looked_at_is_no_matter(registry: Registry, files: dict[str, Path]):
    """Another process may finish its version between the listing and the look: here as a link that leads nowhere."""
    (registry.root / "ranker").mkdir(parents=True)
    (registry.root / "ranker" / ".unfinished-0").symlink_to(registry.root / "gone")
    assert registry.register("ranker", files, MANIFEST) == 1


def _register_many(root: Path, weights: Path, mark: str) -> None:
    registry = Registry(root)
    for _ in range(8):
        version = registry.register("ranker", {"model.safetensors": weights}, {"mark": mark})
        registry.set_alias("ranker", f"alias-{mark}-{version}", version)


def test_processes_that_register_at_once_never_clobber_each_other(registry: Registry, files: dict[str, Path]):
    context = multiprocessing.get_context("spawn")
    arguments = (registry.root, files["model.safetensors"])
    processes = [context.Process(target=_register_many, args=(*arguments, mark)) for mark in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert registry.versions("ranker") == list(range(1, 25))
    marks = [registry.resolve(f"ranker@{version}").manifest.details["mark"] for version in range(1, 25)]
    assert sorted(marks) == ["a"] * 8 + ["b"] * 8 + ["c"] * 8
    aliases = registry.aliases("ranker")
    assert len(aliases) == 24 + 1  # no alias was lost, and `latest`
    assert all(aliases[f"alias-{mark}-{version}"] == version for version, mark in enumerate(marks, start=1))
