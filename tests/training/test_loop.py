import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from plait.errors import ConfigError, TrainingError
from plait.models.builder import build_model
from plait.models.head import build_head
from plait.schema import Split
from plait.testing.batches import small_spec
from plait.testing.training_data import SmallDataset
from plait.training import TrainingConfig, load_recipe_by_name, predict, recipe_names, train
from plait.training.data import Loader, training_rows
from plait.training.log import read_log
from plait.training.loop import train_task
from plait.training.objective import combined, objective_losses
from plait.training.optimiser import LazyAdam, learning_rate_scale
from plait.training.ranking import RankingTask, base_logits
from plait.training.recipe import parse_overrides, parse_recipe

MIXTURES = [
    f"moe-{name}"
    for name in ("cgc", "dense", "esmm", "global", "home", "mmoe", "pepnet", "ple", "shared-bottom", "star", "topk")
]
FAMILIES = ("lr-small", "dnn-small", "hstu-small")


def recipe(name: str, **training):
    shipped = name if name != "lr-small" else "lr"
    values = {"tensorboard": False, "batch_size": 64, "log_steps": 1, "threads": 1, **training}
    return load_recipe_by_name(shipped, Path(), {"training": values})


def run(name: str, folder: Path, dataset: SmallDataset | None = None, *, resume: bool = True, **training):
    dataset = dataset or SmallDataset()
    chosen = recipe(name, **training)
    torch.manual_seed(0)
    model = build_model(chosen.model, dataset.spec, dataset.item_fields_VI)
    return model, train(dataset, model, chosen.training, folder, resume=resume)


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(int(line["step"]), line["loss"]) for line in read_log(folder, "step")]


def test_masked_loss_by_hand():
    """Objective 0: -ln(1/2) over its two mature rows. Objective 1: one mature row with p = 0.8. 2: none mature."""
    logits_BT = torch.tensor([[0.0, np.log(4.0), 9.0], [0.0, 5.0, 9.0]])
    labels_BT = torch.tensor([[1.0, 1.0, float("nan")], [0.0, 0.0, 1.0]])
    labels_BT[0, 2] = 1.0
    mask_BT = torch.tensor([[True, True, False], [True, False, False]])
    expected = (np.log(2) + -np.log(0.8)) / 2
    losses = objective_losses(logits_BT, labels_BT, mask_BT)
    assert combined(losses, torch.ones(3)).item() == pytest.approx(expected, rel=1e-6)
    weighted = (3 * np.log(2) + -np.log(0.8)) / 4
    loss = combined(losses, torch.tensor([3.0, 1.0, 7.0]))
    assert loss.item() == pytest.approx(weighted, rel=1e-6)
    nothing = objective_losses(logits_BT, labels_BT, torch.zeros(2, 3, dtype=torch.bool))
    assert combined(nothing, torch.ones(3)).item() == 0.0


def test_a_share_of_the_training_window_is_the_same_for_every_model(monkeypatch, tmp_path):
    """A quarter of the rows, drawn by seed alone; a run takes no others."""
    dataset, seen = SmallDataset(), []
    quarter = TrainingConfig(share=0.25, seed=3)
    all_B, some_B = training_rows(dataset, TrainingConfig()), training_rows(dataset, quarter)
    assert len(some_B) == round(len(all_B) / 4)
    assert set(some_B) < set(all_B)
    np.testing.assert_array_equal(some_B, training_rows(dataset, quarter))
    assert set(some_B) != set(training_rows(dataset, quarter.model_copy(update={"seed": 4})))
    asked = SmallDataset.impression_batch
    monkeypatch.setattr(
        SmallDataset,
        "impression_batch",
        lambda self, rows_B, length: seen.append(rows_B) or asked(self, rows_B, length),
    )
    run("lr-small", tmp_path, epochs=1, share=0.25, seed=3)
    trained = set(np.concatenate(seen)) & set(all_B)
    assert trained == set(some_B)


def test_a_share_of_users_takes_all_of_theirs():
    dataset = SmallDataset()
    all_B, some_B = (training_rows(dataset, TrainingConfig(share=share, share_of="users")) for share in (1.0, 0.3))
    users_U = np.unique(dataset.user_rows(some_B))
    assert len(users_U) == round(0.3 * len(np.unique(dataset.user_rows(all_B))))  # all have equally many
    np.testing.assert_array_equal(some_B, all_B[np.isin(dataset.user_rows(all_B), users_U)])


def test_lazy_adam_is_adam_on_the_rows_used():
    """With every row used in every step it is PyTorch's Adam; rows that are not used stay as they are."""
    torch.manual_seed(0)
    start_VD = torch.randn(4, 3)
    ours, theirs = torch.nn.Parameter(start_VD.clone()), torch.nn.Parameter(start_VD[:3].clone())
    lazy = LazyAdam(ours, 0.1, l2=0.05)
    adam = torch.optim.Adam([theirs], 0.1, weight_decay=0.05)
    for _ in range(5):
        gradient_VD = torch.randn(3, 3)
        rows_N = torch.tensor([[0, 1, 2, 1]])
        values_ND = torch.cat([gradient_VD, torch.zeros(1, 3)])  # row 1 comes twice: the values add up
        ours.grad = torch.sparse_coo_tensor(rows_N, values_ND, (4, 3), check_invariants=True)
        theirs.grad = gradient_VD.clone()
        lazy.step(1.0)
        adam.step()
    torch.testing.assert_close(ours.data[:3], theirs.data, atol=1e-5, rtol=1e-4)
    assert torch.equal(ours.data[3], start_VD[3])


class Uneven:
    """A task whose epochs have 5, 4 and 6 batches."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.steps_per_epoch = 5

    def prepare(self) -> None: ...

    def batches(self, epoch: int, first: int):
        return iter([(torch.ones(2, 1), 2)] * ((5, 4, 6)[epoch] - first))

    def loss(self, batch):
        return self.model(batch).square().mean()

    def validate(self) -> dict[str, float]:
        return {"logloss": float(self.model.weight.detach().abs())}


def test_every_epoch_ends_with_a_verdict(tmp_path):
    """However many batches it has; and once within it, half-way through the first one's five."""
    config = TrainingConfig(epochs=3, evaluations_per_epoch=2, patience=99, tensorboard=False, threads=1)
    result = train_task(Uneven(), config, tmp_path)
    assert [point.step for point in result.curve] == [2, 5, 7, 9, 11, 15]
    sparse = config.model_copy(update={"evaluation_epochs": 2})
    assert [point.step for point in train_task(Uneven(), sparse, tmp_path / "b").curve] == [7, 9, 11, 15]


def test_learning_rate_schedules():
    config = TrainingConfig(warmup_steps=4, schedule="linear")
    assert [learning_rate_scale(config, step, 12) for step in (0, 1, 3, 4, 8, 12)] == [0.25, 0.5, 1.0, 1.0, 0.5, 0.0]
    cosine = TrainingConfig(schedule="cosine")
    assert learning_rate_scale(cosine, 5, 10) == pytest.approx(0.5)
    assert learning_rate_scale(TrainingConfig(), 5, 10) == 1.0


@pytest.mark.parametrize(("layout", "lookback"), [("impression", 20), ("user", 20), ("user", 10)])
def test_an_epoch_takes_every_exposure_once(layout, lookback):
    dataset = SmallDataset()
    model = SimpleNamespace(layout=layout, history=20, lookback=lookback)
    loader = Loader(dataset, Split.TRAIN, model, batch_size=50, batch_events=200)
    orders = []
    for epoch in (0, 1, 0):
        taken = [rows_B for _, rows_B in loader.batches(loader.shuffled(3, epoch))]
        assert sorted(np.concatenate(taken)) == dataset.rows(Split.TRAIN).tolist()
        orders.append([rows_B.tolist() for rows_B in taken])
    assert orders[0] == orders[2] != orders[1]
    batches = list(loader.batches(loader.in_order()))
    if layout == "user":
        for features, rows_B in batches:
            lengths_U = np.diff(features.history_offsets_U1)
            found_B = np.minimum(dataset.before(rows_B), lookback)
            assert (features.before_B >= found_B).all()
            if lookback < 20:
                assert features.before_B.max() <= 20
            assert len(lengths_U) == 1 or (len(lengths_U) * lengths_U.max() <= 200 and len(features) <= 50)


@pytest.mark.parametrize("name", [*FAMILIES, "popularity"])
def test_every_family_learns(name, tmp_path):
    """Above chance on exposures that it was not trained on, in better log-loss than it began with."""
    dataset = SmallDataset(users=200, exposures=40)
    rates = {"epochs": 4, "learning_rate": 0.005, "embedding_learning_rate": 0.01, "patience": 6}
    model, result = run(name, tmp_path, dataset, **rates)
    assert max(point.auc for point in result.curve) > 0.55
    predictions = predict(dataset, model, Split.TEST)
    assert predictions.rows.tolist() == dataset.rows(Split.TEST).tolist()
    assert predictions.probabilities_BT.shape == (len(predictions.rows), 2)


@pytest.mark.parametrize("max_history", [30, 300])
@pytest.mark.parametrize("name", ["dnn-small", "hstu-small"])
def test_predictions_do_not_depend_on_batches_or_layout(name, max_history, tmp_path):
    """Nor where histories are several times as long as a pass of the tower (64 events)."""
    dataset = SmallDataset(max_history=max_history)
    model, _ = run(name, tmp_path, dataset, epochs=1)
    default = predict(dataset, model, Split.TEST)
    for layout in ("impression", "user"):
        other = predict(dataset, model, Split.TEST, batch_size=17, batch_events=90, layout=layout)
        assert other.rows.tolist() == default.rows.tolist()
        np.testing.assert_allclose(other.probabilities_BT, default.probabilities_BT, atol=1e-5)


def test_a_recipe_may_choose_the_layout():
    """Exposures each with a history of its own, or stretches with one each."""
    dataset = SmallDataset()
    rows = len(dataset.rows(Split.TRAIN))
    for layout in ("impression", "user"):
        chosen = recipe("hstu-small", layout=layout)
        model = build_model(chosen.model, dataset.spec, dataset.item_fields_VI)
        batches = list(RankingTask(dataset, model, chosen.training).batches(0, 0))
        assert sum(examples for _, examples in batches) == rows
        histories = sum(len(batch.history_offsets_U1) - 1 for batch, _ in batches)
        assert histories == rows if layout == "impression" else histories < rows / 2


def test_the_best_weights_are_kept(tmp_path):
    """Training with a rate far too high gets worse: the model that comes out is the best evaluation's."""
    dataset = SmallDataset(users=200)
    model, result = run("lr-small", tmp_path, dataset, epochs=8, learning_rate=0.5, embedding_learning_rate=0.5)
    best = min(result.curve, key=lambda point: point.logloss)
    assert result.best_step == best.step
    assert len(result.curve) < 8
    predictions = predict(dataset, model, Split.VALID)
    labels_BT, mask_BT = predictions.labels_BT, predictions.mask_BT
    bce_BT = -np.log(np.where(labels_BT == 1, predictions.probabilities_BT, 1 - predictions.probabilities_BT))
    mean = np.mean([bce_BT[mask_BT[:, index], index].mean() for index in range(2)])
    assert mean == pytest.approx(best.logloss, rel=1e-4)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_loop
settings = {"checkpoint_steps": 3, "epochs": 4, "evaluations_per_epoch": 2, "patience": 9, "weight_average": 0.9}
test_loop.run(sys.argv[1], Path(sys.argv[2]), **settings)
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dnn-small", signal.SIGKILL), ("hstu-small", signal.SIGKILL), ("dnn-small", signal.SIGINT)],
)
def test_resume_is_exact(name, kind, tmp_path):
    """A run that is killed and started again has the losses and ends in the weights (or means) of one that was not."""
    settings = {"checkpoint_steps": 3, "epochs": 4, "evaluations_per_epoch": 2, "patience": 9, "weight_average": 0.9}
    whole, result = run(name, tmp_path / "whole", **settings)
    killed = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, name, str(killed), str(Path(__file__).parent)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while len(losses(killed)) < 8 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(kind)
    _, errors = child.communicate(timeout=60)
    assert child.returncode != 0, "the run was over before it could be stopped"
    if kind == signal.SIGINT:
        assert "the same command goes on" in errors
    before = losses(killed)
    resumed, resumed_result = run(name, killed, **settings)
    assert losses(killed) == losses(tmp_path / "whole")
    assert 8 <= len(before) < len(losses(killed))
    assert resumed_result.curve == result.curve
    assert resumed_result.best_step == result.best_step
    for (key, weight), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(weight, other), key


def test_without_resume_a_run_starts_anew(tmp_path):
    run("lr-small", tmp_path, epochs=1, checkpoint_steps=2)
    first = losses(tmp_path)
    run("lr-small", tmp_path, epochs=1, checkpoint_steps=2, resume=False)
    assert losses(tmp_path) == first


def test_a_damaged_checkpoint_says_so(tmp_path):
    run("lr-small", tmp_path, epochs=1)
    (weights,) = (tmp_path / "checkpoints").glob("step-*/weights.safetensors")
    weights.write_bytes(b"nothing of the kind")
    with pytest.raises(TrainingError, match="--no-resume"):
        run("lr-small", tmp_path, epochs=2)


def test_objective_weights_matter(tmp_path):
    run("lr-small", tmp_path / "a", epochs=1)
    run("lr-small", tmp_path / "b", epochs=1, objective_weights={"objective_0": 0.0})
    assert losses(tmp_path / "a") != losses(tmp_path / "b")


def test_tensorboard_gets_curves(tmp_path):
    pytest.importorskip("tensorboard")
    run("lr-small", tmp_path, epochs=1, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_recipes_all_load():
    names = recipe_names()
    assert [name for name in names if "-next" not in name] == [
        "autoint",
        "ctrl-autoint",
        "ctrl-autoint-align",
        "ctrl-dcnv2",
        "ctrl-dcnv2-align",
        "ctrl-dcnv2-tuned",
        "ctrl-dcnv2-tuned-align",
        "ctrl-dnn",
        "ctrl-dnn-align",
        "dcnv2",
        "dcnv2-text",
        "deepfm",
        "distil-dcnv2",
        "dnn",
        "dnn-small",
        "hstu",
        "hstu-moe",
        "hstu-small",
        "kar-dcnv2",
        "lr",
        *MIXTURES,
        "popularity",
        "text-ranker",
        "wide-deep",
    ]
    assert sum("-next" in name for name in names) == 19
    for name in names:
        chosen = load_recipe_by_name(name, Path())
        again = parse_recipe(json.loads(json.dumps(chosen.to_dict())), name)
        assert again == chosen
        header = (Path(__file__).parents[2] / "plait" / "recipes" / f"{name}.toml").read_text().split("\n\n")[0]
        assert f"plait train {name} -w FOLDER" in header
        assert "# Expect:" in header


def test_hstu_is_the_dnn_with_a_sequence():
    """The rung above the DNN shares its inputs and head: only sequence and long memory are new."""
    dnn = load_recipe_by_name("dnn", Path()).model.model_dump(exclude={"family"})
    hstu = load_recipe_by_name("hstu", Path()).model.model_dump(exclude={"family", "sequence", "memory"})
    assert dnn == hstu


def test_hstu_with_experts_is_the_mixture_with_a_sequence():
    mixture = load_recipe_by_name("moe-dense", Path()).model.model_dump(exclude={"family"})
    hstu = load_recipe_by_name("hstu-moe", Path()).model.model_dump(exclude={"family", "sequence", "memory"})
    assert mixture == hstu


@pytest.mark.parametrize("name", ["dnn", *MIXTURES])
def test_mixtures_cost_what_the_dnn_costs(name):
    """With 13 objectives and 36 scenarios every variant's deep part costs at most the MLP's, and most of it is used."""
    width, objectives = 512, 13
    chosen = load_recipe_by_name(name, Path()).model
    of_mlp = 2 * (width * 256 + 256 * 128 + 128 * objectives)
    cross = 2 * (width * 32 + 32 * width) * chosen.cross_layers + 2 * width * objectives
    head = build_head(chosen, width, small_spec(objectives=objectives, scenarios=36))
    assert 0.85 * of_mlp < head.flops - cross <= of_mlp


def test_overrides():
    assert parse_overrides(["training.epochs=2", "model.hidden=[64, 32]", "training.schedule=cosine"]) == {
        "training": {"epochs": 2, "schedule": "cosine"},
        "model": {"hidden": [64, 32]},
    }
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        parse_overrides(["epochs=2"])
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        load_recipe_by_name("dnn", Path(), {"training": {"epoch": 2}})
    with pytest.raises(ConfigError, match="did you mean 'dnn'"):
        load_recipe_by_name("dn", Path())


@pytest.mark.parametrize("name", FAMILIES)
def test_training_starts_at_the_rates(name):
    """Base log-odds by hand, and an untrained model that predicts about them."""
    dataset = SmallDataset()
    rows_B = dataset.rows(Split.TRAIN)
    features = dataset.impression_batch(rows_B, 0)
    mature_B = features.mask_BT[:, 0]
    positives = features.labels_BT[mature_B, 0].sum() + 1
    expected = np.log(positives / (mature_B.sum() + 2 - positives))
    logit_T = base_logits(dataset, TrainingConfig())
    assert logit_T[0].item() == pytest.approx(expected, rel=1e-5)
    torch.manual_seed(0)
    model = build_model(recipe(name).model, dataset.spec, dataset.item_fields_VI)
    model.start_from(logit_T - 3.0)
    mean_T = np.log(1 / predict(dataset, model, Split.TRAIN).probabilities_BT - 1).mean(0)
    np.testing.assert_allclose(-mean_T, logit_T - 3.0, atol=0.4)
