import torch

from spoofcache.models.output import log_odds


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
