"""The contract that every loss of the registry keeps, followed by hand-computed cases of each loss."""

import math

import pytest
import torch

from spoofcache.models.losses import LOSSES
from spoofcache.models.output import BackendOutput

EQUAL = torch.tensor([1.0, 1.0])
TENFOLD = torch.tensor([1.0, 10.0])  # spoof, bona fide
LABELS = torch.tensor([0, 1, 1, 0])
COSINE = ("oc_softmax", "am_softmax", "aam_softmax", "p2sgrad")
LN2 = math.log(2)


def set_vectors(objective, *vectors):
    """Class vectors of a loss on cosines: of spoof and of bona fide, or the one centre."""
    objective.vectors.data = torch.tensor(vectors)
    return objective


def of_embeddings(*embeddings):
    return BackendOutput(torch.tensor(embeddings), torch.full((len(embeddings), 2), math.nan))


def of_logits(*logits):
    return BackendOutput(torch.full((len(logits), 3), math.nan), torch.tensor(logits))


def probability(p):
    """Logits of a soft-max with that probability of bona fide."""
    return [0.0, math.log(p / (1 - p))]


@pytest.fixture(params=LOSSES)
def objective(request):
    """A loss on embeddings of size three. If it has class vectors, they are at right angles."""
    objective = LOSSES[request.param](TENFOLD, 3)
    if request.param in COSINE:
        vectors = [[-1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
        set_vectors(objective, *vectors[-len(objective.vectors) :])
    return objective


def separated_by(distance, dtype=torch.float32):
    """An output with bona fide on one side and spoof on the other; at 1 the embeddings are close to the vectors."""
    side = (2 * LABELS - 1) * distance
    embedding = torch.stack([side, torch.ones(4), torch.tensor([0.1, -0.2, 0.3, 0.05])], dim=1)
    return BackendOutput(embedding.to(dtype), torch.stack([-side, side], dim=1).to(dtype))


def test_a_loss_is_finite_and_has_a_gradient_for_the_outputs_that_it_uses(objective):
    output = BackendOutput(*(x.requires_grad_() for x in separated_by(0.3)))
    loss = objective(output, LABELS)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    used, unused = (output.logits, output.embedding) if objective.uses_logits else (output.embedding, output.logits)
    assert used.grad.any(dim=1).all()
    assert unused.grad is None
    assert all(parameter.grad.any(dim=1).all() for parameter in objective.parameters())


def test_the_weighted_mean_of_its_batches_is_the_loss_of_all_utterances(objective):
    output = separated_by(0.3)
    alone = [(BackendOutput(*(x[[k]] for x in output)), LABELS[[k]]) for k in range(4)]
    total = sum(objective(*one).item() * objective.batch_weight(one[1]) for one in alone)
    assert objective.batch_weight(LABELS) == 22  # two of 1 and two of 10
    assert total / 22 == pytest.approx(objective(output, LABELS).item(), rel=1e-5)


def test_is_lower_for_a_better_separated_batch(objective):
    losses = [objective(separated_by(distance), LABELS).item() for distance in (-1, -0.5, 0.0, 0.5, 1)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 5


def test_its_score_puts_bona_fide_above_spoof(objective):
    score = objective.score(separated_by(0.1))
    assert score.shape == (4,)
    assert score[LABELS == 1].min() > score[LABELS == 0].max()


def test_the_score_of_an_utterance_does_not_depend_on_its_batch(objective):
    output = separated_by(0.3)
    alone = torch.cat([objective.score(BackendOutput(*(x[[k]] for x in output))) for k in range(4)])
    torch.testing.assert_close(objective.score(output), alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_are_computed_in_float32(objective, dtype):
    half = separated_by(0.3, dtype)
    full = BackendOutput(*(x.float() for x in half))
    assert objective.score(half).dtype == objective(half, LABELS).dtype == torch.float32
    assert torch.equal(objective.score(half), objective.score(full))
    assert torch.equal(objective(half, LABELS), objective(full, LABELS))


@pytest.mark.parametrize("name", LOSSES)
def test_its_state_restores_it(name):
    one, other = (LOSSES[name](TENFOLD, 3) for _ in range(2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(separated_by(0.3), LABELS), other(separated_by(0.3), LABELS))


@pytest.mark.parametrize("name", LOSSES)
def test_a_very_wrong_or_very_right_utterance_keeps_a_finite_gradient(name):
    objective = LOSSES[name](EQUAL, 2)
    if name in COSINE:
        set_vectors(objective, *[[-1.0, 0.0], [1.0, 0.0]][-len(objective.vectors) :])  # the embedding and its opposite
    embedding, logits = torch.tensor([[5.0, 0.0]] * 2), torch.tensor([[-500.0, 500.0]] * 2)
    output = BackendOutput(embedding.requires_grad_(), logits.requires_grad_())
    loss = objective(output, torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert (logits if objective.uses_logits else embedding).grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("focal", {"gamma": -1}, "focal with gamma -1; expected at least 0"),
        ("focal", {"gamma": math.nan}, "focal with gamma nan"),
        ("focal", {"alpha": 1.0}, "focal with alpha 1.0; expected 0 < alpha < 1"),
        ("cross_entropy_to_focal", {"gamma": -1}, "gamma -1; expected at least 0"),
        ("cross_entropy_to_focal", {"eer_threshold": 8.0}, "eer_threshold 8.0; expected a fraction"),
        ("cross_entropy_to_focal", {"transition_epochs": 0}, "transition_epochs 0; expected at least 1"),
        ("oc_softmax", {"m_real": 0.1}, "m_fake 0.2 and m_real 0.1; expected −1 ≤ m_fake < m_real ≤ 1"),
        ("oc_softmax", {"scale": 0}, "oc_softmax with scale 0; expected above 0"),
        ("am_softmax", {"margin": 2.0}, "am_softmax with margin 2.0; expected 0 ≤ margin < 2"),
        ("am_softmax", {"scale": -1}, "am_softmax with scale -1; expected above 0"),
        ("aam_softmax", {"margin": 1.6}, "aam_softmax with margin 1.6; expected 0 ≤ margin < π/2"),
        ("aam_softmax", {"scale": math.inf}, "aam_softmax with scale inf; expected above 0"),
    ],
)
def test_a_setting_outside_its_limits_is_refused_in_a_sentence(name, settings, sentence):
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        LOSSES[name](EQUAL, 3, **settings)


# two utterances with p(own class) = 1/2 (spoof) and 1/4 (bona fide)
HALF_AND_QUARTER = of_logits(probability(1 / 2), probability(1 / 4)), torch.tensor([0, 1])


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_cross_entropy_divides_by_the_weights_of_the_batch(name):
    # −log 1/2 = log 2 with weight 1, −log 1/4 = 2 log 2 with weight 10, over 11
    assert LOSSES[name](TENFOLD, 3)(*HALF_AND_QUARTER).item() == pytest.approx((1 * LN2 + 10 * 2 * LN2) / 11)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "cross_entropy_to_focal", "focal"])
def test_weighted_cross_entropy_is_torchs_own(name):
    settings = {"gamma": 0} if name == "focal" else {}
    logits, labels = torch.randn(50, 2, generator=torch.manual_seed(0)), torch.arange(50) % 3 % 2
    expected = torch.nn.CrossEntropyLoss(TENFOLD)(logits, labels)
    torch.testing.assert_close(LOSSES[name](TENFOLD, 3, **settings)(BackendOutput(logits, logits), labels), expected)


def test_one_logit_is_the_score_of_binary_cross_entropy():
    # logits [0, z]: σ(z) = 3/4 at z = log 3; bona fide costs −log 3/4, spoof −log 1/4
    objective, output = LOSSES["binary_cross_entropy"](EQUAL, 3), of_logits([0.0, math.log(3)])
    assert objective.score(output).item() == pytest.approx(math.log(3))
    assert objective(output, torch.tensor([1])).item() == pytest.approx(math.log(4 / 3))
    assert objective(output, torch.tensor([0])).item() == pytest.approx(math.log(4))


def test_focal_counts_easy_utterances_less():
    # (1/2)²·log 2 = 0.25 log 2 with weight 1, (3/4)²·2 log 2 = 1.125 log 2 with weight 10
    loss = LOSSES["focal"](TENFOLD, 3)(*HALF_AND_QUARTER)
    assert loss.item() == pytest.approx((0.25 + 10 * 1.125) * LN2 / 11)


def test_alpha_of_focal_is_that_of_bona_fide_and_is_not_divided_out():
    # gamma 1: 0.8·(1/2)·log 2 = 0.4 log 2 and 0.2·(3/4)·2 log 2 = 0.3 log 2, over two
    loss = LOSSES["focal"](EQUAL, 3, gamma=1, alpha=0.2)(*HALF_AND_QUARTER)
    assert loss.item() == pytest.approx((0.4 + 0.3) * LN2 / 2)


BEST_EERS = [None, 0.30, 0.12, 0.07, 0.07, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
"""Known when epochs 0, 1, … begin: epoch 2 is the first below 8 %."""
SHARES = [0, 0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1]
"""After epoch 2 its EER is not yet in the best; after 3 it is, start = 3 and the share (3 − 3)/5 of epoch 4 is 0; after
4 that of epoch 5 is (4 − 3)/5, …, after 8 that of epoch 9 is 1."""


def test_cross_entropy_turns_into_focal_over_five_epochs():
    objective = LOSSES["cross_entropy_to_focal"](EQUAL, 3)
    plain, focal = (1 + 2) / 2 * LN2, (0.25 + 1.125) / 2 * LN2
    for epoch, (best, share) in enumerate(zip(BEST_EERS, SHARES, strict=True)):
        objective.begin_epoch(epoch, best)
        assert objective(*HALF_AND_QUARTER).item() == pytest.approx((1 - share) * plain + share * focal), epoch


@pytest.mark.parametrize("interrupted_before", range(1, 11))
def test_a_resumed_transition_continues_where_it_was(interrupted_before):
    first, second = (LOSSES["cross_entropy_to_focal"](EQUAL, 3) for _ in range(2))
    for epoch in range(interrupted_before):
        first.begin_epoch(epoch, BEST_EERS[epoch])
    second.load_state_dict(first.state_dict())
    assert second.share.item() == pytest.approx(SHARES[interrupted_before - 1])
    for epoch in range(interrupted_before, 11):
        second.begin_epoch(epoch, BEST_EERS[epoch])
        assert second.share.item() == pytest.approx(SHARES[epoch])


def test_the_threshold_and_the_length_of_the_transition_are_settings():
    objective = LOSSES["cross_entropy_to_focal"](EQUAL, 3, eer_threshold=0.2, transition_epochs=2)
    shares = []
    for epoch, best in enumerate([None, 0.2, 0.19, 0.19, 0.19, 0.19]):  # 20 % is not below 20 %; start = 2
        objective.begin_epoch(epoch, best)
        shares.append(objective.share.item())
    assert shares == [0, 0, 0, 0, 0.5, 1]


# 3-4-5 triangles: cosines of these to (1, 0) are 0.6 and 0.8, to (0, 1) 0.8 and 0.6
TRIANGLES = of_embeddings([3.0, 4.0], [0.8, 0.6])


def test_oc_softmax_draws_bona_fide_to_its_centre_and_pushes_spoof_away():
    # spoof at 0.6: log(1 + e^(20·(0.6 − 0.2))) = log(1 + e^8); bona fide at 0.8: log(1 + e^(20·(0.9 − 0.8)))
    objective = set_vectors(LOSSES["oc_softmax"](TENFOLD, 2), [7.0, 0.0])
    spoof, bonafide = math.log1p(math.exp(8)), math.log1p(math.exp(2))
    assert objective(TRIANGLES, torch.tensor([0, 1])).item() == pytest.approx((spoof + 10 * bonafide) / 11, rel=1e-5)
    assert objective.score(TRIANGLES).tolist() == pytest.approx([0.6, 0.8])


def test_am_softmax_subtracts_the_margin_from_the_cosine_to_the_true_class():
    # vectors of spoof (1, 0), bona fide (0, 1); scale 10, margin 0.1.
    # Spoof: own 0.6 − 0.1 against 0.8 → log(1 + e^(10·0.3)). Bona fide: own 0.6 − 0.1 against 0.8, the same.
    objective = set_vectors(LOSSES["am_softmax"](EQUAL, 2, margin=0.1, scale=10), [2.0, 0.0], [0.0, 5.0])
    assert objective(TRIANGLES, torch.tensor([0, 1])).item() == pytest.approx(math.log1p(math.exp(3)), rel=1e-5)
    assert objective.score(TRIANGLES).tolist() == pytest.approx([2, -2], rel=1e-5)  # 10·(0.8 − 0.6), 10·(0.6 − 0.8)


def test_aam_softmax_adds_the_margin_to_the_angle_of_the_true_class():
    # spoof at 40°, so bona fide at 50°; margin 10° makes the own class 50° too: log 2.
    # Bona fide at 20° (spoof at 70°) becomes 30°: log(1 + e^(30·(cos 70° − cos 30°)))
    embeddings = [[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in (40, 70)]
    objective = LOSSES["aam_softmax"](EQUAL, 2, margin=math.radians(10))
    loss = set_vectors(objective, [1.0, 0.0], [0.0, 1.0])(of_embeddings(*embeddings), torch.tensor([0, 1]))
    easy = math.log1p(math.exp(30 * (math.cos(math.radians(70)) - math.cos(math.radians(30)))))
    assert loss.item() == pytest.approx((LN2 + easy) / 2, rel=1e-4)


def test_aam_softmax_does_not_turn_beyond_pi():
    # spoof at 175° of its own vector, 85° of bona fide's; margin 0.2 rad = 11.5° would turn it to 186.5°.
    # own cosine: cos 175° − 0.2·sin 0.2; scale 1
    own, other = (math.cos(math.radians(a)) for a in (175, 85))
    objective = set_vectors(LOSSES["aam_softmax"](EQUAL, 2, scale=1), [1.0, 0.0], [0.0, 1.0])
    loss = objective(of_embeddings([own, other]), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(other - own + 0.2 * math.sin(0.2))), rel=1e-5)


@pytest.mark.parametrize("margin", [0.2, 1.0, 1.57])
def test_aam_softmax_grows_with_the_angle_to_the_true_class(margin):
    objective = set_vectors(LOSSES["aam_softmax"](EQUAL, 2, margin=margin, scale=1), [-1.0, 0.0], [1.0, 0.0])
    angles = torch.linspace(0, math.pi, 500)
    losses = [objective(of_embeddings([math.cos(a), math.sin(a)]), torch.tensor([1])).item() for a in angles]
    assert losses == sorted(losses)


@pytest.mark.parametrize("name", ["am_softmax", "aam_softmax"])
def test_without_a_margin_both_are_the_cross_entropy_of_scaled_cosines(name):
    # spoof: own 0.6 against 0.8 → log(1 + e^(5·0.2)); the score is the log-odds, 5·0.2
    objective = set_vectors(LOSSES[name](EQUAL, 2, margin=0, scale=5), [1.0, 0.0], [0.0, 1.0])
    assert objective(of_embeddings([3.0, 4.0]), torch.tensor([0])).item() == pytest.approx(math.log1p(math.e))
    assert objective.score(of_embeddings([3.0, 4.0])).item() == pytest.approx(1)


def test_p2sgrad_is_the_squared_error_of_cosines_to_one_hot_targets():
    # spoof, cosines (0.6, 0.8), target (1, 0): (0.16 + 0.64)/2 = 0.4 with weight 1
    # bona fide, cosines (0.8, 0.6), target (0, 1): (0.64 + 0.16)/2 = 0.4; spoof at (0.8, 0.6): (0.04 + 0.36)/2 = 0.2
    objective = set_vectors(LOSSES["p2sgrad"](TENFOLD, 2), [2.0, 0.0], [0.0, 5.0])
    assert objective(TRIANGLES, torch.tensor([0, 1])).item() == pytest.approx(0.4)
    assert objective(of_embeddings([3.0, 4.0], [0.0, 1.0]), torch.tensor([0, 1])).item() == pytest.approx(0.4 / 11)
    assert objective.score(TRIANGLES).tolist() == pytest.approx([0.8, 0.6])  # not their difference


def test_a_cosine_does_not_depend_on_the_length_of_an_embedding_or_a_class_vector():
    for name in COSINE:
        objective = LOSSES[name](EQUAL, 3)
        output, louder = separated_by(0.3), BackendOutput(7 * separated_by(0.3).embedding, separated_by(0.3).logits)
        expected = objective(output, LABELS)
        objective.vectors.data *= 3
        torch.testing.assert_close(objective(louder, LABELS), expected)
