import math

import pytest
import torch

from models.losses import LOSSES


def test_weighted_cross_entropy_divides_by_the_weights_of_the_batch():
    # two utterances with p(own class) = 1/2 and 1/4, weights 1 (spoof) and 10 (bona fide)
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    labels = torch.tensor([0, 1])
    loss = LOSSES["cross_entropy"](torch.tensor([1.0, 10.0]))(logits, labels)
    assert loss.item() == pytest.approx((1 * math.log(2) + 10 * math.log(4)) / 11)
