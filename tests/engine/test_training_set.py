"""Corpora and views that form a training set, those that are refused, and trainings on them."""

import re
from pathlib import Path

import pytest
import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_last, read_about
from spoofcache.engine.train import FitOptions, Listener, fit
from spoofcache.engine.training_set import TrainingSet
from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.features.plan import Identity, ShardMismatch, StoreError
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.engine.test_train import assert_resumes, interrupt_after

CPU = torch.device("cpu")
N = 24


@pytest.fixture
def cache(tmp_path):
    """`cache("LA", view=1)`: train of that corpus, its features greater by the view's number; the folder tells both.
    Utterances of one name sound alike unless `sound` differs."""

    def write(corpus, view=0, *, effect="rawboost:5", trials=None, partition="train", sound=0, **changes):
        augment = {"augment": dict(View(effect, 0, view).settings())} if view else {}
        identity = Identity({**IDENTITY.settings, **changes, **augment})
        trials = make_trials(N, corpus) if trials is None else trials
        folder = tmp_path / "cache" / corpus / identity.folder_name("test") / partition
        return CachedFeatures(write_cache(folder, trials, separable_rows(trials, seed=sound) + view, identity, corpus))

    return write


@pytest.fixture
def augmented(cache):
    """Clean train of LA beside two views of it, and its dev."""
    cache("LA", 1)
    cache("LA", 2)
    return cache("LA"), cache("LA", trials=make_trials(15, "dev"), partition="dev")


def test_every_row_is_the_utterance_and_the_view_that_the_pool_gives(experiment, cache):
    sizes = {"LA": 24, "ITW": 9}
    for corpus, n in sizes.items():
        for view in (1, 2):
            cache(corpus, view, trials=make_trials(n, corpus))
    corpora = [cache(corpus, trials=make_trials(n, corpus)) for corpus, n in sizes.items()]
    train = TrainingSet(corpora, experiment("train.views=all"))
    assert len(train) == 3 * (24 + 9)
    feed, utterances = Feed(train.caches, CPU), torch.arange(24 + 9)
    clean = torch.cat([torch.from_numpy(separable_rows(corpus.trials)) for corpus in corpora])
    for view in range(3):
        (batch,) = feed.batches([train.pool.rows(utterances, torch.full_like(utterances, view)).tolist()])
        torch.testing.assert_close(batch.features.double(), clean + view, rtol=1e-2, atol=1e-2)
        assert batch.label.tolist() == [label for labels in train.pool.labels for label in labels]
        names = [trial.utt_id for corpus in corpora for trial in corpus.trials]
        assert [feed.utt_id(row) for row in batch.rows] == names


def test_a_run_records_what_it_was_trained_on(experiment, augmented, tmp_path):
    told = []
    clean, dev = augmented
    for views in ("[0]", "random"):
        config = experiment("train.epochs=1", f"train.views={views}")
        fit(config, clean, dev, tmp_path / views, FitOptions(listener=Listener(note=told.append)))
    assert read_about(tmp_path / "[0]").trained_on == ("LA/train",)
    assert read_about(tmp_path / "random").trained_on == ("LA/train", "LA/train+rawboost-5")
    assert read_about(tmp_path / "random").identity == IDENTITY.settings
    assert [note for note in told if note.startswith("train:")] == ["train: LA/train, LA/train+rawboost-5 (3 views)"]


def test_views_that_a_run_does_not_use_do_not_change_it(experiment, augmented, tmp_path):
    clean, dev = augmented
    alone = CachedFeatures(write_cache(tmp_path / "alone/train", clean.trials, separable_rows(clean.trials)))
    for name, train in {"alone": alone, "beside": clean}.items():
        fit(experiment("train.epochs=1"), train, dev, tmp_path / name / "run")
    one, other = (load_last(tmp_path / name / "run")["model"]["linear.weight"] for name in ("alone", "beside"))
    assert torch.equal(one, other)


GROWING = "train.growth.eer_threshold=1.0 train.growth.epochs=2"


@pytest.mark.parametrize(
    "overrides",
    [
        "train.views=random",
        "train.views=all train.micro_batch=5",
        f"train.views=random {GROWING} train.average=swa",
        f"train.views=[0,2] {GROWING} train.balanced=true",
    ],
)
def test_a_training_with_views_resumes_bit_for_bit(experiment, augmented, tmp_path, overrides):
    config = experiment("train.epochs=5", *overrides.split())
    per_epoch = 15 + 24 * (3 if "all" in overrides else 1)
    assert_resumes(config, augmented, tmp_path, 4 * per_epoch + 7)


def test_augmentation_grows_in_step_with_the_loss_that_becomes_focal(experiment, augmented, tmp_path, monkeypatch):
    """The share of the focal part, which is tested against that code, is the referee; with an interruption."""
    grown, shares = {}, {}

    def view_shares(strengths, growth, share):
        grown[len(shares)] = share
        return [1.0] * len(strengths)

    def look(epoch):
        shares[epoch.epoch] = float(load_last(tmp_path / "run")["model"]["objective.share"])

    monkeypatch.setattr("spoofcache.engine.sampling.view_shares", view_shares)
    loss = ("loss.name=cross_entropy_to_focal", "loss.settings.eer_threshold=1.0", "loss.settings.transition_epochs=2")
    config = experiment("train.epochs=7", "train.views=random", *GROWING.split(), *loss)
    interrupt = interrupt_after(3 * (24 + 15) + 5).advance
    with pytest.raises(KeyboardInterrupt):
        fit(config, *augmented, tmp_path / "run", FitOptions(listener=Listener(advance=interrupt, epoch=look)))
    fit(config, *augmented, tmp_path / "run", FitOptions(resume=True, listener=Listener(epoch=look)))
    assert grown == shares
    assert set(grown.values()) == {0, 0.5, 1}


def test_a_view_that_was_cached_meanwhile_is_another_training_set(experiment, cache, augmented, tmp_path):
    config = experiment("train.epochs=1", "train.views=random")
    fit(config, *augmented, tmp_path / "run")
    cache("LA", 3)
    sentence = "run: begun with another train cache, content of the train cache; --resume expects the same$"
    with pytest.raises(RunError, match=sentence):
        fit(config, *augmented, tmp_path / "run", FitOptions(resume=True))


def test_dev_may_be_an_augmented_view(experiment, cache, augmented, tmp_path):
    dev = cache("LA", 1, trials=make_trials(15, "dev"), partition="dev")
    best = fit(experiment("train.epochs=1"), augmented[0], dev, tmp_path / "run")
    assert best.epoch == 0


def refused(error, act, *arguments):
    with pytest.raises(error) as caught:
        act(*arguments)
    return re.sub(r"/\S*/cache/", "", str(caught.value))


def slug(view=0, effect="rawboost:5", **changes):
    augment = {"augment": dict(View(effect, 0, view).settings())} if view else {}
    return Identity({**IDENTITY.settings, **changes, **augment}).folder_name("test")


def test_corpora_of_other_features_are_refused(experiment, cache):
    corpora = [cache("LA"), cache("ITW", fit="zero")]
    told = refused(ShardMismatch, TrainingSet, corpora, experiment())
    assert told.endswith("another identity: fit is 'zero', expected 'repeat'")


def test_corpora_in_different_views_are_refused(experiment, cache):
    for corpus, view in (("LA", 1), ("LA", 2), ("ITW", 1)):
        cache(corpus, view)
    corpora = [cache("LA"), cache("ITW")]
    told = refused(ShardMismatch, TrainingSet, corpora, experiment("train.views=random"))
    assert told == (
        f"LA/{slug()}/train has 3 views and ITW/{slug()}/train has 2, which are not the same; expected every --train "
        "in the same views (train.views can select views by number)"
    )
    assert len(TrainingSet(corpora, experiment("train.views=[0,1]")).caches) == 4


def test_a_corpus_without_views_is_refused_when_they_are_asked_for(experiment, cache):
    cache("LA", 1)
    corpora = [cache("LA"), cache("ITW")]
    assert f"ITW/{slug()}/train: there are no augmented views beside it" in refused(
        StoreError, TrainingSet, corpora, experiment("train.views=all")
    )


def test_corpora_may_share_names_of_utterances_but_not_the_utterances(experiment, cache):
    alike = make_trials(N)
    la, itw = cache("LA", trials=alike), cache("ITW", trials=alike, sound=1)
    assert len(TrainingSet([la, itw], experiment())) == 2 * N
    told = refused(RunError, TrainingSet, [la, itw, la], experiment())
    assert told.endswith(
        f"share {N} utterances, U_0000 among them; expected none: an utterance in both would count twice"
    )


def test_dev_must_not_share_utterances_with_any_training_corpus(experiment, cache):
    train = TrainingSet([cache("LA"), cache("ITW")], experiment())
    dev = cache("ITW", trials=make_trials(N + 1, "ITW")[-4:], partition="dev")
    assert "share 3 utterances, ITW_0021 among them" in refused(RunError, train.require_dev, dev)
    train.require_dev(cache("MLAAD", trials=make_trials(N, "ITW"), partition="dev", sound=1))


def test_dev_must_not_be_a_copy_of_train_under_another_name(experiment, cache):
    """As where a corpus was cached once more with --name: here 8 of its utterances and 30 of others."""
    train = TrainingSet([cache("mini")], experiment())
    trials = [*make_trials(8, "mini"), *make_trials(30, "new")]
    dev = cache("mini2", trials=trials, partition="eval")
    assert "share 8 utterances, mini_0000 among them" in refused(RunError, train.require_dev, dev)
    both = (cache("mini3"), cache("mini4", trials=make_trials(N, "mini3")))
    assert "an utterance in both would count twice" in refused(RunError, TrainingSet, both, experiment())


def test_a_corpus_of_one_class_that_unbalances_the_classes_is_reported(experiment, cache):
    spoof = [trial for trial in make_trials(N, "MLAAD") if trial.key == "spoof"]
    corpora = [cache("LA"), cache("MLAAD", trials=spoof)]
    unbalanced = ", 25% bona fide: not balanced, since a weighted corpus has only one class"
    for weights, told in {"[]": "", "[1,1]": unbalanced}.items():
        train = TrainingSet(corpora, experiment("train.balanced=true", f"train.corpus_weights={weights}"))
        assert str(train) == f"LA/train, MLAAD/train (1 view){told}"


def test_corpora_of_one_class_each_make_a_training_set_together(experiment, cache):
    of = {key: [trial for trial in make_trials(N, "LA") if trial.key == key] for key in ("bonafide", "spoof")}
    corpora = [cache(key, trials=trials) for key, trials in of.items()]
    assert len(TrainingSet(corpora, experiment())) == N
    told = refused(RunError, TrainingSet, corpora[1:], experiment())
    assert told == f"spoof/{slug()}/train: all utterances are spoof; expected both bonafide and spoof"


def test_every_corpus_needs_a_weight(experiment, cache):
    corpora = [cache("LA"), cache("ITW")]
    told = refused(RunError, TrainingSet, corpora, experiment("train.corpus_weights=[1.0]"))
    assert told == "train.corpus_weights has 1 weights; expected 2, one for each --train"


def test_two_corpora_are_trained_on(experiment, cache, tmp_path):
    config = experiment("train.epochs=2", "train.corpus_weights=[1,3]", "train.balanced=true")
    train = TrainingSet([cache("LA"), cache("ITW")], config)
    dev = cache("LA", trials=make_trials(15, "dev"), partition="dev")
    fit(config, train, dev, tmp_path / "run")
    assert read_about(Path(tmp_path / "run")).trained_on == ("LA/train", "ITW/train")


def test_statistics_over_time_are_not_trained_on(experiment, cache):
    pooled = cache("LA", front_end={"name": "test", "pool": "mean+std"})
    told = refused(StoreError, TrainingSet, [pooled], experiment())
    assert told.endswith(
        "/train: contains statistics over time (--pool mean+std), on which no back-end can be trained; expected a "
        "cache of frames, for which `spoofcache probe` recommends the layers"
    )
