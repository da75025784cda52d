"""The grid of mixtures and the see-saw on a tiny simulated market."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from plait.cli.app import register_commands
from plait.console.seesaw_page import mark
from plait.errors import ConfigError
from plait.evaluation import Difference, evaluate, paired_difference
from plait.features.dataset import EncodedDataset
from plait.models.batch import Batch
from plait.models.expert_head import ExpertHead
from plait.pipelines.bench_moe import MoeOptions, run_grid, write_grid
from plait.pipelines.bench_moe_speed import MoeSpeed, measure_moe_speed
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.evaluate import evaluate_against
from plait.pipelines.expert_use import expert_use
from plait.pipelines.moe_cells import swept, variant_named
from plait.pipelines.project import Project, open_project
from plait.pipelines.train import train_model
from plait.schema import Split
from plait.simulation import named_size, simulate

SMALL = {
    "model": {"embedding_dim": 4, "cross_rank": 4, "attention": {"events": 5, "hidden": 4}},
    "training": {"epochs": 1, "batch_size": 512, "tensorboard": False, "threads": 1},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("market")
    simulate(named_size("tiny"), folder, seed=3, media=False, processes=1)
    return open_project(folder)


def test_variants_by_name():
    assert variant_named("topk_8", []).overrides["model"]["experts"] == {"shared": 8, "routing": "topk", "top_k": 2}
    assert variant_named("single.pay", ["pay"]).overrides == {"training": {"objectives": ["pay"]}}
    with pytest.raises(ConfigError, match="no variant 'mmoee'; did you mean 'mmoe'"):
        variant_named("mmoee", [])
    with pytest.raises(ConfigError, match=r"no variant 'single\.buy'"):
        variant_named("single.buy", ["pay"])
    assert swept([1, 2, 4, 16]) == ["dense_2", "dense_16", "softmax_2", "softmax_16", "topk_4", "topk_16"]


@pytest.mark.slow
def test_grid_and_seesaw(project, tmp_path):
    options = MoeOptions(
        ("shared_bottom", "mmoe"), (), (1, 2), 0.5, 2000, bootstrap=40, overrides=SMALL, name="grid", seesaw_name="see"
    )
    grid = run_grid(project, options)
    paths = write_grid(project, grid, options, folder=tmp_path)
    metrics = json.loads(paths[0].read_text())["metrics"]
    assert [path.stem for path in paths] == ["grid", "see"]
    shared, mmoe = (metrics[f"{name}.auc_mean"]["value"] for name in ("shared_bottom", "mmoe"))
    assert metrics["mmoe.gain"]["value"] == pytest.approx(mmoe - shared)
    assert metrics["mmoe.flops"]["value"] <= 1.01 * metrics["shared_bottom.flops"]["value"]
    see = json.loads(paths[1].read_text())["metrics"]
    deltas = [one["value"] for name, one in see.items() if name.endswith(".delta")]
    assert see["worst_delta"]["value"] == min(deltas)
    assert see["mean_delta"]["value"] == pytest.approx(np.mean(deltas))
    best = grid.seesaw.variant
    alone = see["click.single_auc"]["value"]
    ours = np.mean([cell.evaluation.by_objective["click"].auc.value for cell in grid.cells[best]])
    assert see["click.delta"]["value"] == pytest.approx(ours - alone)
    written = {path: path.stat().st_mtime_ns for path in project.hidden.glob("runs/grid-*/measured.json")}
    again = run_grid(project, options)  # reads what is there
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert again.cells["mmoe"][0].evaluation.to_json() == grid.cells["mmoe"][0].evaluation.to_json()


@pytest.mark.slow
def test_models_against_each_other_with_marks_and_experts(project, tmp_path):
    train_model(project, "dnn", name="plain", overrides=SMALL)
    train_model(project, "moe-mmoe", name="mixture", overrides=SMALL)
    measured = evaluate_against(project, "mixture", "plain", split=Split.TEST, bootstrap=40, experts=True)
    first, second = (
        evaluate_against(project, name, None, split=Split.TEST, bootstrap=0).evaluation for name in ("plain", "mixture")
    )
    for scenario in first.scenarios:
        for objective in first.objectives:
            a, b = (one.cells[scenario][objective].auc.value for one in (first, second))
            found = measured.comparison.cells[scenario][objective]["auc"].difference
            assert found == pytest.approx(b - a, nan_ok=True)
    (use,) = measured.experts
    np.testing.assert_allclose(use.load_GE.sum(1), 1.0, rtol=1e-5)
    assert use.groups == first.objectives
    page = tmp_path / "page.html"
    command = ["evaluate", "mixture", "-w", str(project.root), "--by", "scenario,objective", "--against", "plain"]
    done = CliRunner().invoke(register_commands(), [*command, "--bootstrap", "20", "--page", str(page)])
    assert done.exit_code == 0, done.output
    assert "all scenarios" in done.output
    assert "without the expert" in page.read_text()
    wrong = CliRunner().invoke(register_commands(), ["evaluate", "mixture", "-w", str(project.root), "--by", "user"])
    assert wrong.exit_code != 0


@pytest.mark.slow
def test_what_an_expert_is_worth_is_the_loss_without_it(project):
    """Against a model whose expert is cut out by hand: its output weights into the towers are those of zeros."""
    model = train_model(project, "moe-dense", name="cut", overrides=SMALL, register=False).model
    dataset = EncodedDataset.open(encoded_dataset(project))
    (use,) = expert_use(dataset, model, Split.TEST, exposures=10**9)
    np.testing.assert_allclose(use.load_SE[~np.isnan(use.load_SE[:, 0])], 0.25)
    head = next(part for part in model.modules() if isinstance(part, ExpertHead))
    batch = Batch.from_features(dataset.impression_batch(dataset.rows(Split.TEST), model.history))
    labels_BT, mask_BT = batch.labels_BT.numpy(), batch.mask_BT.numpy()

    def loss_T() -> np.ndarray:
        with torch.inference_mode():
            chance_BT = torch.sigmoid(model(batch).double()).numpy()
        each_BT = -np.where(labels_BT > 0, np.log(chance_BT), np.log1p(-chance_BT))
        return (each_BT * mask_BT).sum(0) / np.maximum(mask_BT.sum(0), 1)

    whole_T = loss_T()
    last = head.levels[0].layers.further[-1]
    last.weight_EIO.data[1] = 0.0
    last.bias_E1O.data[1] = 0.0
    known_T = mask_BT.any(0)
    np.testing.assert_allclose(use.loss_TE[known_T, 1], (loss_T() - whole_T)[known_T], atol=2e-6)
    assert known_T.sum() > 3


def test_cells_are_compared_on_the_same_resamples():
    """Model B is model A in one scenario and its reverse in the other."""
    random = np.random.default_rng(0)
    labels_BT = (random.random((400, 1)) < 0.4).astype(float)
    a_BT = np.clip(0.3 * labels_BT + 0.6 * random.random((400, 1)), 0, 1)
    scenario_B = np.arange(400) % 2
    b_BT = np.where(scenario_B[:, None] == 0, a_BT, 1 - a_BT)
    mask_BT, users_B = np.ones((400, 1), bool), np.arange(400) // 4
    one, two = (
        evaluate(
            labels_BT, mask_BT, p_BT, users_B, scenario_B, ["t"], ["same", "turned"], bootstrap=50, cell_replicates=True
        )
        for p_BT in (a_BT, b_BT)
    )
    cells = paired_difference(one, two).cells
    same, turned = cells["same"]["t"]["auc"], cells["turned"]["t"]["auc"]
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)
    assert turned.difference == pytest.approx(1 - 2 * one.cells["turned"]["t"].auc.value)
    assert turned.high < 0
    assert (mark(same, 1), mark(turned, 1), mark(turned, -1)) == ("·", "▼", "▲")
    assert paired_difference(one, two).from_json(paired_difference(one, two).to_json()).cells == cells


def test_marks():
    assert mark(Difference(0.5, 0.6, 0.1, -0.1, 0.3), 1) == "·"
    assert mark(Difference(0.5, 0.6, 0.1, 0.05, 0.15), 1) == "▲"


def test_speed_is_measured_on_equal_functions(monkeypatch):
    metrics, path = measure_moe_speed(MoeSpeed(3, 4, 2, width=64, rows=32, repeats=2, write=False))
    assert path is None
    assert metrics["train_speedup_vs_modulelist"].value == pytest.approx(
        metrics["train_grouped"].value / metrics["train_modulelist"].value
    )
    assert {"train_s.T3", "train_s.T24", "infer_speedup_vs_modulelist"} <= set(metrics)
