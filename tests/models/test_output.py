import pytest
import torch

from spoofcache.models.output import BackendOutput, log_odds, require_output


def test_a_higher_score_is_more_bona_fide():
    spoof_like, bonafide_like = log_odds(torch.tensor([[2.0, -1.0], [-1.0, 2.0]])).tolist()
    assert spoof_like == -3.0
    assert bonafide_like == 3.0


def test_scores_stay_apart_where_a_soft_max_would_round_both_to_one():
    logits = torch.tensor([[-30.0, 30.0], [-40.0, 40.0]])
    assert logits.softmax(1)[0, 1] == logits.softmax(1)[1, 1]
    assert log_odds(logits).tolist() == [60.0, 80.0]


def test_half_precision_logits_are_scored_in_float32():
    assert log_odds(torch.tensor([[0.0, 60_000.0], [-60_000.0, 60_000.0]]).half()).tolist()[1] == 120_000.0


def test_what_a_back_end_should_return_passes():
    output = BackendOutput(torch.zeros(3, 7), torch.zeros(3, 2))
    assert require_output("mine", output, batch=3) is output


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (torch.zeros(3, 2), "a tensor of shape (3, 2)"),
        ((torch.zeros(3, 7), torch.zeros(3, 2)), "<class 'tuple'>"),
        (BackendOutput(torch.zeros(3, 7), torch.zeros(3, 1)), "logits of shape (3, 1)"),
        (BackendOutput(torch.zeros(3, 5, 7), torch.zeros(3, 2)), "an embedding of shape (3, 5, 7)"),
        (BackendOutput(torch.zeros(7), torch.zeros(3, 2)), "an embedding of shape (7,)"),
        (BackendOutput(torch.zeros(1, 7), torch.zeros(1, 2)), "an embedding of shape (1, 7)"),
    ],
    ids=["logits-alone", "plain-tuple", "one-logit", "frames", "no-batch", "another-batch"],
)
def test_anything_else_is_refused_with_what_was_expected(output, found):
    with pytest.raises(ValueError, match=r"expected spoofcache\.models\.output\.BackendOutput") as refusal:
        require_output("mine", output, batch=3)
    assert found in str(refusal.value)
