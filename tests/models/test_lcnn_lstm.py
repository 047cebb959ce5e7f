import numpy as np
import pytest
import torch

from spoofcache.models.lcnn_lstm import LCNNLSTM
from tests.models.reference import count_parameters
from tests.recipe import fill


def test_parameter_counts_are_the_baselines():
    model = LCNNLSTM((404, 60))
    counts = {"lstm": count_parameters(model.lstm), "classifier": count_parameters(model.classifier)}
    assert counts == {"lstm": 112_128, "classifier": 97}
    assert count_parameters(model) == 157_504 + 112_128 + 97 == 269_729


def lstm_pass(x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """One direction of an LSTM, step by step as in its equations (gates in the order i, f, g, o): [T, C] → [T, H]."""
    w_input, w_hidden, b_input, b_hidden = weights
    h = c = np.zeros(w_hidden.shape[1])
    states = []
    for frame in x:
        i, f, g, o = np.split(w_input @ frame + b_input + w_hidden @ h + b_hidden, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


def test_two_recurrent_layers_are_added_to_what_the_convolutions_made():
    model = fill(LCNNLSTM((48, 32)))
    features = torch.from_numpy(np.random.RandomState(5).standard_normal((2, 48, 32)).astype(np.float32))
    with torch.no_grad():
        convolved = model.trunk(features).double().numpy()  # [2, 32, 3, 2]: time is the height
        embedding, logits = model(features)
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for utterance in range(2):
        x = frames = convolved[utterance].transpose(1, 0, 2).reshape(3, 64)
        for layer in ("l0", "l1"):
            ahead = lstm_pass(x, [state[f"lstm.{kind}_{layer}"] for kind in kinds])
            back = lstm_pass(x[::-1], [state[f"lstm.{kind}_{layer}_reverse"] for kind in kinds])[::-1]
            x = np.concatenate([ahead, back], axis=1)
        expected = (frames + x).mean(axis=0)
        z = state["classifier.weight"] @ expected + state["classifier.bias"]
        np.testing.assert_allclose(embedding[utterance].numpy(), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(logits[utterance].numpy(), [0, z[0]], rtol=1e-4, atol=1e-4)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"LCNNLSTM on features of shape \(15, 60\).*T at least 16"):
        LCNNLSTM((15, 60))
    with pytest.raises(ValueError, match=r"dropout -0\.1; expected 0 ≤ dropout < 1"):
        LCNNLSTM((404, 60), dropout=-0.1)
