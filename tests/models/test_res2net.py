import pytest
import torch

from spoofcache.models.res2net import SERes2Net, cascade
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import ssl_last


def test_equals_the_original_network_on_the_recipe_weights():
    model = SERes2Net((201, 1024))
    assert count_parameters(model) == 923_102
    assert_names_of_original("res2net003", model)
    assert_equals_original("res2net003", model, ssl_last())


def test_each_group_of_the_cascade_gets_the_output_of_the_one_before():
    parts = [torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)]
    doubled = cascade(parts, lambda number, part: 2 * part)
    assert doubled == [2, 2 * (2 + 2), 2 * (3 + 8)]


def test_any_number_of_frames_and_coefficients_will_do_but_no_waveform():
    assert SERes2Net((3, 1)).eval()(torch.randn(1, 3, 1)).logits.shape == (1, 2)
    with pytest.raises(ValueError, match=r"SERes2Net on features of shape \(64600,\); expected \(T, D\)"):
        SERes2Net((64_600,))
