import pytest
import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.detection import SCORES, Detector, window_starts
from spoofcache.models.losses import LOSSES
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooled_linear import PooledLinear

OUTPUT = BackendOutput(torch.tensor([[3.0, 4.0]]), torch.tensor([[-1.0, 2.0]]))


def countermeasure(loss):
    return Countermeasure(PooledLinear((5, 2)), LOSSES[loss](torch.ones(2), 2))


def test_windows_cover_the_waveform_to_its_end():
    assert window_starts(10, 4, 3) == [0, 3, 6]
    assert window_starts(9, 4, 3) == [0, 3, 5]
    assert window_starts(4, 4, 3) == window_starts(2, 4, 3) == [0]


def test_each_kind_of_score_is_computed_from_the_output():
    found = {name: score(countermeasure("cross_entropy"), OUTPUT).item() for name, score in SCORES.items()}
    assert found == pytest.approx({"llr": 3, "bonafide-logit": 2, "probability": 1 / (1 + 2.718281828**-3)})


def test_the_score_is_that_of_the_loss():
    model = countermeasure("oc_softmax")
    model.objective.vectors.data = torch.tensor([[0.0, 7.0]])
    assert SCORES["llr"](model, OUTPUT).item() == pytest.approx(4 / 5)  # cosine of (3, 4) to (0, 1)


@pytest.mark.parametrize("score", ["bonafide-logit", "probability"])
def test_logits_that_were_never_trained_are_not_reported(score):
    sentence = f"score {score} of a network whose loss left its logits untrained; expected llr"
    with pytest.raises(RunError, match=sentence):
        Detector(countermeasure("am_softmax"), None, torch.device("cpu"), score)
