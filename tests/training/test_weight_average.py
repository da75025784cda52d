"""The running mean of weights: by hand, and that it is what a run judges and keeps."""

import torch
from torch import nn

from plait.models.builder import build_model
from plait.testing.training_data import SmallDataset
from plait.training import load_recipe_by_name, train
from plait.training.averaging import WeightAverage


def test_mean_by_hand():
    """From 0: after a weight of 1 (d = 2/11) and one of 3 (d = 3/12), then decay .5 caps (d = 4/13 stays below)."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.28)
    for step, value in enumerate((1.0, 3.0, 7.0), start=1):
        nn.init.constant_(model.weight, value)
        average.update(step)
    first = 9 / 11
    second = 0.25 * first + 0.75 * 3
    third = 0.28 * second + 0.72 * 7  # 4/13 would be more than the decay
    with average.in_place():
        torch.testing.assert_close(model.weight.item(), third)
    assert model.weight.item() == 7.0


def test_weights_come_back_after_an_error():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.9)
    nn.init.ones_(model.weight)
    try:
        with average.in_place():
            assert not bool((model.weight == 1).all())
            raise KeyError
    except KeyError:
        pass
    assert bool((model.weight == 1).all())


def test_frozen_weights_are_left_alone():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    assert list(WeightAverage(model, 0.9).state()) == ["average/weight"]


def test_a_run_keeps_the_mean_of_its_weights(tmp_path):
    """With one evaluation at the end: what is kept is the mean over the steps, which are those of a run without."""

    def trained(folder: str, weight_average: float):
        training = {"tensorboard": False, "batch_size": 64, "threads": 1, "epochs": 1, "weight_average": weight_average}
        dataset = SmallDataset()
        recipe = load_recipe_by_name("dnn-small", tmp_path, {"training": training})
        torch.manual_seed(0)
        model = build_model(recipe.model, dataset.spec, dataset.item_fields_VI)
        start = {name: weight.clone() for name, weight in model.state_dict().items()}
        train(dataset, model, recipe.training, tmp_path / folder)
        return start, model.state_dict()

    start, last = trained("last", 0.0)
    _, mean = trained("mean", 0.999)
    name = next(name for name in start if name.endswith("weight") and not torch.equal(start[name], last[name]))
    distance = (last[name] - start[name]).norm()
    assert 0 < (mean[name] - last[name]).norm() < distance
    assert (mean[name] - start[name]).norm() < distance
