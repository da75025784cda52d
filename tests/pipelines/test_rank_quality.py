"""The same exposures of real encoded data by a whole ranker and by its parts."""

import numpy as np
import torch

from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.pipelines.rank_quality import Compared
from plait.schema import Split
from plait.testing.datasets import small_dataset


def test_the_split_has_the_probabilities_of_the_whole_and_a_sliding_window_has_others(tmp_path):
    dataset = small_dataset(tmp_path, users=8, exposures=20, behaviours=60)
    config = {
        "family": "hstu", "embedding_dim": 4, "hidden": [8], "attention": {"events": 5},
        "sequence": {"width": 8, "heads": 2, "blocks": 2, "max_events": 16},
    }  # fmt: skip
    torch.manual_seed(0)
    model = build_model(parse_model(config, "test"), dataset.spec, dataset.item_fields_VI).eval()
    for weight in model.parameters():
        weight.data.normal_(std=0.3)
    compared = Compared.over(dataset, model)
    assert sorted(compared.rows_B) == sorted(dataset.rows(Split.TEST))
    assert compared.largest(compared.split_BT) < 1e-5
    assert compared.largest(compared.slid_BT) > 1e-4
    before_B = dataset.before(compared.rows_B)
    np.testing.assert_array_equal(compared.slides_B, before_B > 16)
    exact_B = before_B <= 16
    np.testing.assert_allclose(compared.slid_BT[exact_B], compared.whole_BT[exact_B], atol=1e-5)
