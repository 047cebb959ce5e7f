import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from spoofcache.models.output import log_odds
from spoofcache.models.pooled_linear import PooledLinear
from tests.models.reference import count_parameters


def pooled_by_numpy(features, deviation):
    mean = features.mean(axis=1)
    return np.concatenate([mean, features.std(axis=1)], axis=1) if deviation else mean


@pytest.mark.parametrize("deviation", [False, True], ids=["mean", "mean-and-deviation"])
def test_log_odds_are_the_decision_function_of_scikit_learn(deviation):
    random = np.random.RandomState(3)
    labels = np.arange(40) % 2
    features = random.standard_normal((40, 25, 12)) + 0.3 * labels[:, None, None]
    pooled = pooled_by_numpy(features, deviation)
    reference = LogisticRegression().fit(pooled, labels)

    model = PooledLinear((25, 12), deviation)
    weight, bias = torch.from_numpy(reference.coef_), torch.from_numpy(reference.intercept_)
    model.load_state_dict(
        {"linear.weight": torch.cat([0 * weight, weight]), "linear.bias": torch.cat([0 * bias, bias])}
    )
    with torch.no_grad():
        embedding, logits = model(torch.from_numpy(features).float())
    np.testing.assert_allclose(embedding.numpy(), pooled, rtol=0, atol=1e-6)
    np.testing.assert_allclose(log_odds(logits).numpy(), reference.decision_function(pooled), rtol=0, atol=1e-5)


def test_parameters_are_two_rows_of_weights_and_two_biases():
    assert count_parameters(PooledLinear((201, 1024))) == 2 * 1024 + 2
    assert count_parameters(PooledLinear((201, 1024), deviation=True)) == 2 * 2048 + 2 < 5_000


def test_a_waveform_is_refused():
    with pytest.raises(ValueError, match=r"PooledLinear on features of shape \(64600,\); expected \(T, D\)"):
        PooledLinear((64_600,))
