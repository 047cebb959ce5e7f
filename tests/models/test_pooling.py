import doctest

import pytest
import torch

from spoofcache.models import pooling
from spoofcache.models.pooling import attentive_statistics, time_statistics, with_context

RAMP = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])  # mean 1.5, squared distances 2.25, 0.25, 0.25, 2.25


def test_the_example_in_the_docstring_is_correct():
    assert doctest.testmod(pooling).failed == 0


def test_statistics_divide_by_the_frames_or_one_fewer():
    assert time_statistics(RAMP)[0].tolist() == pytest.approx([1.5, (5 / 4) ** 0.5])
    assert time_statistics(RAMP, correction=1)[0].tolist() == pytest.approx([1.5, (5 / 3) ** 0.5])


def test_context_repeats_the_statistics_beside_every_frame():
    deviation = (5 / 4) ** 0.5
    torch.testing.assert_close(with_context(RAMP)[0], torch.tensor([[0.0, 1.0, 2.0, 3.0], [1.5] * 4, [deviation] * 4]))


def test_weights_decide_what_counts():
    # 1/4 of frame 0, 3/4 of frame 3: mean 2.25, variance (2.25² + 3·0.75²)/4 = 1.6875
    weights = torch.tensor([[[0.25, 0.0, 0.0, 0.75]]])
    assert attentive_statistics(RAMP, weights)[0].tolist() == pytest.approx([2.25, 1.6875**0.5])


def test_a_constant_channel_has_the_floor_and_a_finite_gradient():
    x = torch.ones(1, 1, 4, requires_grad=True)
    statistics = time_statistics(x, floor=1e-4)
    assert statistics[0].tolist() == pytest.approx([1.0, 1e-2])
    statistics.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
