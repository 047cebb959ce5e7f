import json

import numpy as np
import pytest
import torch

from spoofcache.common.errors import InputError
from spoofcache.common.files import exclusive
from spoofcache.engine.about import RunError
from spoofcache.engine.config_file import load_config
from spoofcache.engine.genotype_file import write_experiment
from spoofcache.engine.search import CLASS_WEIGHTS, SearchController
from spoofcache.engine.search_data import split_in_halves
from spoofcache.features.dataset import CachedFeatures
from spoofcache.models import BACKENDS
from tests.corpora import make_trials, separable_rows, write_cache
from tests.threads import one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"num_cells": 3, "channels": 4, "epochs": 3, "batch_size": 8}
"""The settings of a search that takes seconds."""
ONE_CELL = {**SMALL, "num_cells": 1}
"""The settings of a search that takes a second, for tests that hold for any number of cells."""
TINY = SearchController(num_cells=1, channels=2, epochs=1)
"""A search with a single step."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    trials = make_trials(48, "train")
    folder = tmp_path_factory.mktemp("caches") / "train"
    return CachedFeatures(write_cache(folder, trials, separable_rows(trials, (16, 12))))


def items(n, value=0.0):
    """A data set other than a cache: n items of a constant, every third one bona fide."""
    return [(torch.full((9, 8), value), int(i % 3 == 0), f"U{i}") for i in range(n)]


def lines(folder):
    return [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]


def test_a_search_learns_and_writes_a_search_folder(cache, tmp_path):
    folder = tmp_path / "search"
    result = SearchController(**SMALL).train_search(cache, folder)
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "search.jsonl"}
    assert lines(folder) == [line._asdict() for line in result.history]
    assert result.history[-1].train_loss < 0.5 * result.history[0].train_loss
    assert [line.lr for line in result.history] == pytest.approx([1e-2, 7.75e-3, 3.25e-3])  # cosine, by hand
    assert result.expected_cost == result.history[-1].expected_cost


@pytest.mark.parametrize("space", ["light", "pc"])
def test_it_writes_an_experiment_that_main_train_accepts(cache, tmp_path, space):
    controller = SearchController(**{**SMALL, "epochs": 1}, search_space=space)
    result = controller.train_search(cache)
    config = load_config(write_experiment(tmp_path, controller, result, cache))
    assert config.backend.settings == {"space": space, "channels": 4, "layers": 3, "genotype": result.genotype}
    assert (config.loss.class_weights.bonafide, config.loss.class_weights.spoof) == (9, 1)
    assert config.features == {"front_end": {"name": "test"}}
    network = BACKENDS[config.backend.name](cache.plan.row_shape, **config.backend.settings)
    assert sum(parameter.numel() for parameter in network.parameters()) == result.parameters


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_large_cost_weight_gives_a_lower_expected_cost(cache, seed):
    free, dear = (
        SearchController(**ONE_CELL, seed=seed, cost_weight=weight, architecture_lr=0.05).train_search(cache)
        for weight in (0, 20)
    )
    assert dear.expected_cost < free.expected_cost - 0.05
    assert dear.multiply_adds < free.multiply_adds


def test_the_architecture_is_frozen_in_the_first_part_of_the_epochs():
    controller = SearchController(num_cells=1, channels=2, epochs=4, frozen=0.5, architecture_lr=0.1)
    *resting, third, fourth = controller.train_search(items(12)).history
    assert [line.architecture_loss for line in resting] == [None, None]
    assert resting[0].expected_cost == resting[1].expected_cost > third.expected_cost > fourth.expected_cost


@pytest.fixture(scope="module")
def uninterrupted(cache, tmp_path_factory, one_thread):  # noqa: F811
    """A search from beginning to end: its folder and its result."""
    folder = tmp_path_factory.mktemp("search") / "whole"
    return folder, SearchController(**SMALL, seed=5).train_search(cache, folder)


@pytest.mark.parametrize("utterances", [20, 70])
def test_an_interrupted_search_resumes_to_the_weights_of_an_uninterrupted_one(
    cache, uninterrupted, tmp_path, utterances
):
    controller, (folder, whole), seen = SearchController(**SMALL, seed=5), uninterrupted, 0

    def interrupt(n):
        nonlocal seen
        seen += n
        if seen >= utterances:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        controller.train_search(cache, tmp_path / "parts", advance=interrupt)
    parts = controller.train_search(cache, tmp_path / "parts", resume=True)
    assert whole.genotype == parts.genotype
    assert [line._replace(seconds=0) for line in whole.history] == [line._replace(seconds=0) for line in parts.history]
    one, other = (torch.load(path / "last.ckpt", weights_only=True) for path in (folder, tmp_path / "parts"))
    for part in ("supernet", "architecture"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part] | other[part])


def test_a_finished_search_that_is_resumed_does_not_change(tmp_path):
    result = TINY.train_search(items(12), tmp_path / "search")
    (tmp_path / "search/search.jsonl").unlink()  # as if killed before it was written
    assert TINY.train_search(items(12), tmp_path / "search", resume=True) == result
    assert len(lines(tmp_path / "search")) == 1


def test_each_class_is_split_into_twosplit_in_halves_by_the_seed():
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0])  # four bona fide, seven spoofs
    first, second = split_in_halves(labels, 0)
    assert sorted([*first, *second]) == list(range(11))
    assert labels[first].sum() == labels[second].sum() == 2
    assert not np.array_equal(first, split_in_halves(labels, 1)[0])


def test_class_weights_are_one_for_spoof_and_nine_for_bona_fide():
    assert CLASS_WEIGHTS.by_index() == [1, 9]  # index 0 is spoof


def test_a_loss_that_is_not_a_number_stops_with_a_sentence():
    with pytest.raises(RunError, match="epoch 0, step 0: the loss of the architecture is nan; expected a number"):
        TINY.train_search(items(12, float("nan")))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "a search with epochs 0; expected at least 1"),
        ({"batch_size": 1}, "a search with batch_size 1; expected at least 2"),
        ({"cost_weight": float("nan")}, "a search with cost_weight nan; expected at least 0"),
        ({"frozen": 1}, "a search with frozen 1; expected 0 ≤ frozen < 1"),
        ({"device": "abacus"}, "a search with device abacus: expected auto, cpu, cuda"),
        ({"num_cells": 2.5}, r"SearchController with num_cells 2\.5 \(float\); expected a whole number"),
        ({"cost_weight": "0.5"}, r"SearchController with cost_weight '0\.5' \(str\); expected a number"),
        ({"search_space": None}, r"SearchController with search_space None \(NoneType\); expected a text"),
    ],
)
def test_settings_out_of_range_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        SearchController(**settings)


def test_the_call_of_the_source_document_takes_pairs_of_arrays_too():
    pairs = [(np.full((9, 8), i % 3, np.float32), i % 2) for i in range(8)]
    result = SearchController(search_space="light", num_cells=1, cost_weight=0.5, channels=2, epochs=1).train_search(
        pairs
    )
    assert set(result.genotype) == {"normal", "reduce"}


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "0 utterances of spoof"),
        ([(torch.zeros(9, 8), 2)], "item 0: class index 2; expected a tensor .* and a class index, 0 or 1"),
        ([(torch.zeros(9, 8), 1), (torch.zeros(9, 7), 0)], r"item 1: features of shape \(9, 7\); expected \(9, 8\)"),
        ([torch.tensor(3.0)], "item 0: .*; expected a tensor"),
        (["ab"], "item 0: .*; expected a tensor"),
        ([(None, 1)], "item 0: .*; expected a tensor"),
        (17, r"SearchController\.train_search with dataset 17 \(int\)"),
    ],
)
def test_a_data_set_of_other_items_is_refused(items, sentence):
    with pytest.raises(InputError, match=sentence):
        TINY.train_search(items)


def test_unknown_spaces_and_unsupported_sizes_are_refused():
    with pytest.raises(RunError, match=r"SuperNet with 3 channels; expected a multiple of 2"):
        SearchController(channels=3).train_search(items(12))
    with pytest.raises(RunError, match=r"SuperNet with space 'dark'; expected one of light, pc"):
        SearchController(search_space="dark").train_search(items(12))


def test_a_class_that_cannot_be_split_is_refused():
    with pytest.raises(RunError, match="1 utterances of bonafide; expected at least 2, one for each half of train"):
        SearchController().train_search(items(3))


def test_a_search_is_not_resumed_with_other_settings_or_data(tmp_path):
    folder = tmp_path / "search"
    TINY.train_search(items(12), folder)
    with pytest.raises(RunError, match="exists; expected a new folder, or --resume"):
        TINY.train_search(items(12), folder)
    with pytest.raises(RunError, match="begun with another epochs, train cache; --resume expects the same"):
        SearchController(num_cells=1, channels=2, epochs=2).train_search(items(15), folder, resume=True)


def test_a_folder_other_than_a_search_folder_is_not_resumed(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and without last\.ckpt; --resume expects the folder of a search"):
        TINY.train_search(items(12), tmp_path, resume=True)
    torch.save({"epoch": 3}, tmp_path / "last.ckpt")
    with pytest.raises(RunError, match=r"last\.ckpt: not the checkpoint of a search; expected architecture, cond"):
        TINY.train_search(items(12), tmp_path, resume=True)
    (tmp_path / "last.ckpt").write_text("mine")
    with pytest.raises(RunError, match=r"last\.ckpt: not the checkpoint of a search, or damaged"):
        TINY.train_search(items(12), tmp_path, resume=True)


def test_two_processes_do_not_search_in_one_folder(tmp_path):
    TINY.train_search(items(12), tmp_path / "search")
    with exclusive(tmp_path / "search"), pytest.raises(RunError, match="in use by another process"):
        TINY.train_search(items(12), tmp_path / "search", resume=True)


def test_pairs_of_features_and_label_are_searched_as_well():
    pairs = [item[:2] for item in items(12)]
    found, expected = TINY.train_search(pairs), TINY.train_search(items(12))
    assert found.genotype == expected.genotype
    assert found.history[0].train_loss == expected.history[0].train_loss
