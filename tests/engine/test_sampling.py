"""What an epoch sees: how often each utterance, corpus, class and view comes, and that nothing else decides it."""

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

from spoofcache.engine.config import GrowthConfig, TrainConfig
from spoofcache.engine.sampling import ByWeight, Pool, draw_rows, draws_per_epoch, seed_epoch, view_shares

LABELS = [[1, 0, 0, 1, 0, 0, 0], [1, 1, 0]]
POOL = Pool(LABELS, strengths=[0, 1, 1])
"""Ten utterances of two corpora in three views: rows 0…20 are of the first corpus, 21…29 of the second."""
GROWING = GrowthConfig(eer_threshold=0.1, probability=(0.5, 0.9))


def draw(pool, grown=0.0, seed=0, **settings):
    """Row numbers of an epoch, in order."""
    torch.manual_seed(seed)
    batches = draw_rows(pool, TrainConfig(batch_size=4, **settings), grown)
    assert all(len(batch) == 4 for batch in batches[:-1])
    return [row for batch in batches for row in batch]


def utterance_and_view(row):
    """Of a row of POOL, counted by hand."""
    return (row % 7, row // 7) if row < 21 else (7 + (row - 21) % 3, (row - 21) // 3)


def shares(rows, of):
    """How often each value of `of(row)` comes, as a share of all."""
    count = Counter(map(of, rows))
    return {value: number / len(rows) for value, number in count.items()}


def many(pool, **settings):
    """Rows of 500 epochs."""
    return [row for seed in range(500) for row in draw(pool, seed=seed, **settings)]


@pytest.mark.parametrize("size", [1, 8, 11])
def test_a_clean_corpus_is_drawn_in_the_order_of_a_shuffling_loader(size):
    """The draw that every published figure of this project was made with."""
    seed_epoch(3, 5)
    expected = [batch.tolist() for batch in DataLoader(range(10), batch_size=4, shuffle=True)]
    seed_epoch(3, 5)
    assert [*draw_rows(Pool([[0, 1] * 5]), TrainConfig(batch_size=4))] == expected


def test_a_balanced_corpus_is_drawn_in_the_order_of_a_loader_with_a_sampler():
    """So were the published figures of balanced trainings."""
    sampler = ByWeight([1 / 2, 1 / 3, 1 / 3, 1 / 2, 1 / 3], 5)
    seed_epoch(3, 5)
    expected = [batch.tolist() for batch in DataLoader(range(5), batch_size=2, sampler=sampler)]
    seed_epoch(3, 5)
    batches = draw_rows(Pool([[0, 1, 1, 0, 1]]), TrainConfig(batch_size=2, balanced=True))
    assert [*batches] == expected == batches[:]
    assert batches[-1] == expected[-1]


def test_draws_by_weight_are_those_of_torch():
    """Every published figure with balanced batches was made with its sampler."""
    weights = torch.rand(5000, dtype=torch.float64).tolist()
    torch.manual_seed(3)
    expected = list(WeightedRandomSampler(weights, 20_000))
    torch.manual_seed(3)
    assert list(ByWeight(weights, 20_000)) == expected


def test_there_may_be_more_rows_than_torch_draws_from():
    """2²⁴ and four, of which the last four weigh as much as all others."""
    weights = torch.ones(2**24 + 4, dtype=torch.float64)
    weights[-4:] = 2**22
    assert shares(ByWeight(weights, 4000), lambda row: row >= 2**24)[True] == pytest.approx(0.5, abs=0.05)


def test_every_utterance_of_every_corpus_is_drawn_once():
    assert sorted(draw(Pool(LABELS))) == list(range(10))
    drawn = [utterance_and_view(row)[0] for row in draw(POOL, views="random")]
    assert sorted(drawn) == list(range(10))


def test_views_all_draws_every_utterance_in_every_view_once():
    assert sorted(draw(POOL, views="all")) == list(range(30))
    assert draws_per_epoch(POOL, TrainConfig(views="all")) == 30
    assert draws_per_epoch(POOL, TrainConfig(views="random")) == 10


def test_views_random_draws_each_view_equally_often():
    found = shares(many(POOL, views="random"), utterance_and_view)
    assert len(found) == 30
    assert found == pytest.approx(dict.fromkeys(found, 1 / 30), abs=0.01)


def test_balanced_draws_both_classes_equally_often_over_all_corpora():
    label = [label for labels in LABELS for label in labels]
    found = shares(many(POOL, views="random", balanced=True), lambda row: label[utterance_and_view(row)[0]])
    assert found == pytest.approx({0: 0.5, 1: 0.5}, abs=0.02)


def test_weights_are_the_shares_of_the_corpora_and_rows_come_with_replacement():
    rows = many(POOL, views="random", corpus_weights=(1.0, 3.0))
    found = shares(rows, lambda row: utterance_and_view(row)[0])
    assert found == pytest.approx({u: 0.25 / 7 if u < 7 else 0.75 / 3 for u in range(10)}, abs=0.02)
    assert len(rows) == 500 * 10


def test_balanced_with_weights_balances_within_each_corpus():
    rows = many(POOL, views="all", corpus_weights=(1.0, 3.0), balanced=True)
    found = shares(rows, lambda row: utterance_and_view(row)[0])
    first, second = LABELS
    by_hand = [0.25 / 2 / first.count(label) for label in first] + [0.75 / 2 / second.count(label) for label in second]
    assert found == pytest.approx(dict(enumerate(by_hand)), abs=0.02)


def test_a_corpus_of_one_class_keeps_its_weight_when_balanced():
    rows = many(Pool([[0, 0, 0], [0, 1]]), corpus_weights=(1.0, 1.0), balanced=True)
    assert shares(rows, lambda row: row < 3)[True] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("settings", [{"views": "random"}, {"views": "all"}, {"views": "random", "balanced": True}])
def test_the_same_seed_and_epoch_draw_the_same_and_others_do_not(settings):
    assert draw(POOL, **settings) == draw(POOL, **settings)
    assert draw(POOL, **settings) != draw(POOL, seed=1, **settings)


@pytest.mark.parametrize(("grown", "augmented"), [(0.0, 0.5), (0.25, 0.6), (1.0, 0.9)])
def test_augmentation_grows_in_probability(grown, augmented):
    rows = [row for seed in range(500) for row in draw(POOL, grown, seed, views="random", growth=GROWING)]
    found = shares(rows, lambda row: utterance_and_view(row)[1])
    assert found == pytest.approx({0: 1 - augmented, 1: augmented / 2, 2: augmented / 2}, abs=0.02)


@pytest.mark.parametrize(
    ("grown", "by_strength"),
    [(0.0, [0.5, 0.5, 0, 0]), (0.25, [0.4, 0.3, 0.3, 0]), (0.5, [0.3, 0, 0.7, 0]), (1.0, [0.1, 0, 0, 0.9])],
)
def test_augmentation_moves_from_the_first_recipe_to_the_last(grown, by_strength):
    """Three recipes, of which the second has two views."""
    none, weak, middle, strong = by_strength
    found = view_shares([0, 1, 2, 2, 3], GROWING, grown)
    assert found == pytest.approx([none, weak, middle / 2, middle / 2, strong])


def test_without_growth_all_views_are_equally_likely():
    assert view_shares([0, 1, 2, 2], GrowthConfig(), grown=1.0) == [0.25] * 4
