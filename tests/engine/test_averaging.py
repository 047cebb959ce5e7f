"""Averages of weights against values computed by hand, and the new estimates of batch norms."""

import numpy as np
import pytest
import torch
from torch import nn

from spoofcache.engine.averaging import AVERAGES, load_average
from spoofcache.engine.config import TrainConfig

CPU = torch.device("cpu")
# after four epochs: the weight, and how good it is on dev
EPOCHS = [(1.0, (0.3, 0.5)), (3.0, (0.1, 0.4)), (5.0, (0.1, 0.2)), (10.0, (0.2, 0.9))]


def hear(average, epochs=EPOCHS, first=0):
    for epoch, (weight, rank) in enumerate(epochs, first):
        average.after_update({"w": torch.tensor(weight)})
        average.after_epoch({"w": torch.tensor(weight)}, epoch, rank)
    return average


BY_HAND = {
    ("none",): None,
    ("swa", "average_from", 0): 19 / 4,
    ("swa", "average_from", 1): 18 / 3,
    ("swa", "average_from", 3): 10,
    ("swa", "average_from", 4): None,
    ("ema", "ema_decay", 0.9): 0.9 * (0.9 * (0.9 * 1 + 0.1 * 3) + 0.1 * 5) + 0.1 * 10,
    ("best", "average_count", 1): 5,
    ("best", "average_count", 3): (5 + 3 + 10) / 3,
    ("best", "average_count", 9): 19 / 4,
}


def make(name, *setting):
    return AVERAGES[name](TrainConfig(average=name, **dict([setting] if setting else [])))


@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: "-".join(map(str, case)))
def test_averages_of_four_epochs_by_hand(case):
    weights = hear(make(*case)).weights()
    expected = BY_HAND[case]
    assert weights is None if expected is None else weights["w"].item() == pytest.approx(expected)


def test_among_equal_epochs_the_earlier_ones_are_averaged():
    equal = [(1.0, (0.1,)), (2.0, (0.1,)), (4.0, (0.1,))]
    assert hear(make("best", "average_count", 2), equal).weights()["w"] == 1.5


@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: "-".join(map(str, case)))
def test_an_average_that_continues_from_a_saved_state_is_identical(case, tmp_path):
    torch.save(hear(make(*case), EPOCHS[:2]).state_dict(), tmp_path / "state")
    resumed = make(*case)
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True), CPU)
    assert hear(resumed, EPOCHS[2:], first=2).weights() == hear(make(*case)).weights()


def test_an_average_neither_changes_nor_shares_the_weights_that_it_is_given():
    for name in AVERAGES:
        average, weight = make(name), torch.tensor(1.0)
        average.after_update({"w": weight})
        average.after_epoch({"w": weight}, 0, (0.1,))
        weight += 1
        average.after_update({"w": weight})
        average.after_epoch({"w": weight}, 1, (0.2,))
        assert weight == 2
        assert name == "none" or 1 < average.weights()["w"] < 2


def test_the_average_of_constant_weights_is_identical_to_them():
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(1000)).float()
    for name in ("swa", "ema", "best"):
        average = make(name)
        for epoch in range(5):
            average.after_update({"w": weight})
            average.after_epoch({"w": weight}, epoch, (0.1,))
        torch.testing.assert_close(average.weights()["w"], weight, rtol=0 if name != "best" else 1e-6, atol=0)


def test_batch_norms_are_means_over_batches_by_hand():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    model[1].running_mean.fill_(99)
    weights = {"0.weight": torch.tensor([[2.0]]), "1.weight": torch.tensor([3.0]), "1.bias": torch.tensor([1.0])}
    batches = [torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [4.0]])]
    load_average(model.eval(), weights, batches)
    # after the linear layer 0, 2 and 4, 8: means 1 and 6, unbiased variances 2 and 8
    assert model[1].running_mean.item() == 3.5
    assert model[1].running_var.item() == 5
    assert (model[0].weight.item(), model[1].weight.item(), model[1].bias.item()) == (2, 3, 1)
    assert not model.training


def test_without_batch_norms_no_batch_is_read():
    def none():
        raise AssertionError
        yield

    model = nn.Linear(1, 1, bias=False)
    load_average(model, {"weight": torch.tensor([[2.0]])}, none())
    assert model.weight.item() == 2
