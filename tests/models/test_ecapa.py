import numpy as np
import pytest
import torch

from spoofcache.models.ecapa import ECAPATDNN
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters

CLASSIFIER = 192 * 2 + 2


def test_embedding_equals_speechbrain_on_the_recipe_weights():
    features = np.random.RandomState(21).standard_normal((2, 120, 80)).astype(np.float32)
    model = ECAPATDNN((120, 80))
    assert_names_of_original("ecapa_sb", model)
    assert_equals_original("ecapa_sb", model, torch.from_numpy(features))


@pytest.mark.parametrize(
    ("coefficients", "channels", "parameters"),
    [(80, 512, 6_194_048), (1024, 512, 8_610_688), (80, 1024, 20_767_552)],
    ids=["mfcc", "xls-r", "wide"],
)
def test_parameter_count_is_speechbrains_and_our_two_class_layer(coefficients, channels, parameters):
    assert count_parameters(ECAPATDNN((120, coefficients), channels)) == parameters + CLASSIFIER


def test_fewer_frames_than_the_reflection_needs_are_refused():
    assert ECAPATDNN((5, 80), channels=8).eval()(torch.randn(1, 5, 80)).logits.isfinite().all()
    with pytest.raises(ValueError, match=r"shape \(4, 80\); expected \(T, D\), T at least 5"):
        ECAPATDNN((4, 80))
    with pytest.raises(ValueError, match="20 channels; expected a multiple of 8"):
        ECAPATDNN((120, 80), channels=20)
