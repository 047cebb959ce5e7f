"""What a run trains on: one corpus or several, each in the views that its config asks for."""

from collections.abc import Sequence
from itertools import combinations

from spoofcache.engine.checkpoint import RunError
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.sampling import Pool, bonafide_share, draws_per_epoch
from spoofcache.engine.trained_on import shared
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity, ShardMismatch
from spoofcache.features.views import CachedView, open_views
from spoofcache.protocols.trial import CLASS_INDEX


class TrainingSet:
    """Cached partitions of one identity, and the views of them that are found beside them.

    Attributes:
        corpora: the clean partitions.
        caches: what rows are read from, in the order in which `pool` numbers them.
        pool: what `draw_rows` draws from.
        plan: of the first corpus: the features' identity and shape.

    Raises:
        RunError: corpora that share utterances, are not as many as their weights, or are of a single class together.
        ShardMismatch: corpora of another identity than the config's `features`, or of different ones.
        StoreError: a view that is not there; `train.augment` names no effect.
    """

    def __init__(self, corpora: Sequence[CachedFeatures], config: ExperimentConfig) -> None:
        train = config.train
        self.corpora, self.plan = list(corpora), corpora[0].plan
        for corpus in corpora:
            corpus.plan.identity.require(Identity(config.features).flat(), corpus.folder)
            corpus.plan.identity.require_same(self.plan.identity, corpus.folder)
        for one, other in combinations(corpora, 2):
            _require_disjoint(one, other, "what is in both would count twice")
        _require_both_classes(corpora)
        if train.corpus_weights and len(train.corpus_weights) != len(corpora):
            raise RunError(
                f"train.corpus_weights are {len(train.corpus_weights)}; expected {len(corpora)}, one a --train"
            )
        views = [open_views(corpus, train.views, train.augment) for corpus in corpora]
        _require_same_views(corpora, views)
        self.caches = [view.data for of_corpus in views for view in of_corpus]
        labels = [[trial.label for trial in corpus.trials] for corpus in corpora]
        self.pool = Pool(labels, [view.strength for view in views[0]])
        self._draws = draws_per_epoch(self.pool, train)
        self._bonafide = bonafide_share(self.pool, train) if train.balanced else 0.5

    def __len__(self) -> int:
        """Rows that an epoch sees."""
        return self._draws

    @property
    def names(self) -> tuple[str, ...]:
        """Every `corpus/partition`, and `corpus/partition+effect` for each effect whose views are drawn from."""
        clean = [f"{corpus.plan.corpus}/{corpus.plan.partition}" for corpus in self.corpora]
        effects = dict.fromkeys(cache.plan.identity.effect for cache in self.caches)
        return (*clean, *(f"{name}+{effect}" for name in clean for effect in effects if effect))

    def __str__(self) -> str:
        n_views = len(self.pool.strengths)
        text = f"{', '.join(self.names)} ({n_views} view{'s' * (n_views > 1)})"
        if round(self._bonafide, 6) != 0.5:
            text += f", {self._bonafide:.0%} bona fide: not balanced, since a corpus with a weight is of one class"
        return text

    def require_dev(self, dev: CachedFeatures) -> None:
        """ShardMismatch or RunError unless these features and none of these utterances can select the best epoch.

        An augmented view will do.
        """
        dev.plan.identity.clean.require_same(self.plan.identity, dev.folder)
        _require_both_classes([dev])
        for corpus in self.corpora:
            _require_disjoint(corpus, dev, "the best epoch would be selected on what was trained on")


def condition(caches: Sequence[CachedFeatures]) -> str:
    """Of which features, trials and utterances they are: what a resumed run must share with its beginning."""
    return "; ".join(f"{each.plan.identity.digest} {each.plan.trial_list_sha256} {len(each)}" for each in caches)


def _require_both_classes(corpora: Sequence[CachedFeatures]) -> None:
    classes = {trial.key for corpus in corpora for trial in corpus.trials}
    if classes != set(CLASS_INDEX):
        where = " and ".join(str(corpus.folder) for corpus in corpora)
        raise RunError(f"{where}: all utterances are {', '.join(classes)}; expected both bonafide and spoof")


def _require_disjoint(one: CachedFeatures, other: CachedFeatures, harm: str) -> None:
    common = shared(one, other)
    if common:
        raise RunError(
            f"{one.folder} and {other.folder} share {len(common)} utterances, {common[0]} among them; expected "
            f"none: {harm}"
        )


def _require_same_views(corpora: Sequence[CachedFeatures], views: Sequence[Sequence[CachedView]]) -> None:
    """Augmentation of one corpus alone would tell the corpora apart."""
    identities = [[view.data.plan.identity for view in of_corpus] for of_corpus in views]
    for corpus, own in zip(corpora, identities, strict=True):
        if own != identities[0]:
            raise ShardMismatch(
                f"{corpora[0].folder} has {len(identities[0])} views and {corpus.folder} {len(own)}, which are not the "
                "same; expected every --train in the same views (train.views can name some by number)"
            )
