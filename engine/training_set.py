"""The utterances that a run trains on: one corpus or several, each in the views that the configuration asks for."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from spoofcache.engine.about import RunError
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.sampling import Pool, bonafide_share, draws_per_epoch
from spoofcache.engine.trained_on import require_disjoint
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity, ShardMismatch
from spoofcache.features.views import CachedView, open_views
from spoofcache.protocols.trial import CLASS_INDEX


class TrainingSet:
    """Cached partitions of one identity to train on, and the augmented views that are found beside them.

    Args:
        corpora: clean cached partitions.
        config: the experiment; its `features`, and of `train` the views, the corpus weights and the balance are used.

    Attributes:
        corpora: as given.
        caches: the caches that rows are read from, in the order in which `pool` numbers their rows.
        pool: the rows that `draw_rows` draws from.
        plan: the plan of the first corpus, with the identity and the shape of the features.

    Raises:
        RunError: corpora share utterances, have another number than their weights, or have a single class together.
        ShardMismatch: a corpus has another identity than the config's `features`, or than the first corpus.
        StoreError: a view is missing, `train.augment` names no effect, or a cache holds statistics over time.
    """

    def __init__(self, corpora: Sequence[CachedFeatures], config: ExperimentConfig) -> None:
        train = config.train
        self.corpora, self.plan = list(corpora), corpora[0].plan
        _require_both_classes(corpora)
        _require_a_weight_for_each(corpora, train.corpus_weights)
        for corpus in corpora:
            corpus.plan.identity.require_frames(corpus.folder)
            corpus.plan.identity.require(Identity(config.features).flat(), corpus.folder)
            corpus.plan.identity.require_same(self.plan.identity, corpus.folder)
        for one, other in combinations(corpora, 2):
            require_disjoint(one, other, "an utterance in both would count twice")
        views = [open_views(corpus, train.views, train.augment) for corpus in corpora]
        _require_same_views(corpora, views)
        self.caches = [view.data for of_corpus in views for view in of_corpus]
        labels = [corpus.labels for corpus in corpora]
        self.pool = Pool(labels, [view.strength for view in views[0]])
        self._settings = train

    def __len__(self) -> int:
        """Number of rows that an epoch draws."""
        return draws_per_epoch(self.pool, self._settings)

    @property
    def names(self) -> tuple[str, ...]:
        """`corpus/partition` of each corpus, and `corpus/partition+effect` for each effect whose views are used."""
        clean = [f"{corpus.plan.corpus}/{corpus.plan.partition}" for corpus in self.corpora]
        effects = dict.fromkeys(cache.plan.identity.effect for cache in self.caches)
        return (*clean, *(f"{name}+{effect}" for name in clean for effect in effects if effect))

    def __str__(self) -> str:
        n_views = len(self.pool.strengths)
        text = f"{', '.join(self.names)} ({n_views} view{'s' * (n_views > 1)})"
        bonafide = bonafide_share(self.pool, self._settings) if self._settings.balanced else 0.5
        if round(bonafide, 6) != 0.5:
            text += f", {bonafide:.0%} bona fide: not balanced, since a weighted corpus has only one class"
        return text

    def require_dev(self, dev: CachedFeatures) -> None:
        """Check that a partition can select the best epoch. It may be an augmented view.

        Raises:
            ShardMismatch: its features have another identity than those of the training set.
            RunError: it has a single class, or shares utterances with the training set.
        """
        _require_both_classes([dev])
        dev.plan.identity.clean.require_same(self.plan.identity, dev.folder)
        for corpus in self.corpora:
            require_disjoint(corpus, dev, "the best epoch would be selected on utterances of the training set")


def _require_both_classes(corpora: Sequence[CachedFeatures]) -> None:
    found = {label for corpus in corpora for label in np.unique(corpus.labels).tolist()}
    classes = [key for key, label in CLASS_INDEX.items() if label in found]
    if len(classes) < len(CLASS_INDEX):
        where = " and ".join(str(corpus.folder) for corpus in corpora)
        raise RunError(f"{where}: all utterances are {', '.join(classes)}; expected both bonafide and spoof")


def _require_a_weight_for_each(corpora: Sequence[CachedFeatures], weights: Sequence[float]) -> None:
    if weights and len(weights) != len(corpora):
        raise RunError(
            f"train.corpus_weights has {len(weights)} weights; expected {len(corpora)}, one for each --train"
        )


def _require_same_views(corpora: Sequence[CachedFeatures], views: Sequence[Sequence[CachedView]]) -> None:
    """ShardMismatch unless all corpora have the same views: a network could tell them apart by the augmentation."""
    identities = [[view.data.plan.identity for view in of_corpus] for of_corpus in views]
    for corpus, own in zip(corpora, identities, strict=True):
        if own != identities[0]:
            raise ShardMismatch(
                f"{corpora[0].folder} has {len(identities[0])} views and {corpus.folder} has {len(own)}, which are "
                "not the same; expected every --train in the same views (train.views can select views by number)"
            )
