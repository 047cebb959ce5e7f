"""Everything that a training needs, checked and built in the order in which it is needed, before the first epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch

from spoofcache.common.plugins import origins
from spoofcache.engine.about import FORMAT_VERSION, About, versions
from spoofcache.engine.averaging import AVERAGES, Average
from spoofcache.engine.batch_norm import over_all_processes
from spoofcache.engine.before_training import require_shares, require_statistics
from spoofcache.engine.compiling import CompileChoice
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.engine.fine_tuning import open_encoder
from spoofcache.engine.history import History
from spoofcache.engine.optim import Updater
from spoofcache.engine.processes import Processes
from spoofcache.engine.training_set import TrainingSet
from spoofcache.engine.validation import Validator
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Feed
from spoofcache.protocols.trial import CLASS_INDEX


class TrainingSetup:
    """The parts of a training. The constructor checks the data, builds the network, and finds room for the features.

    Args:
        config: the experiment.
        train: a clean cached partition, or several of them as a TrainingSet.
        dev: the cached partition that selects the best epoch.
        processes: the processes that train together, and the device of this one.

    Attributes:
        config: the experiment.
        processes: as given.
        train: what each epoch draws from.
        dev: as given.
        train_feed: where the rows of `train` are read from.
        validator: evaluates the network on the dev partition.
        speech_model_folder: local folder of the speech model that is fine-tuned; None for the hub, or without one.
        about: the description of the network, before the first epoch.
        model: the network and its objective, on the device.
        updater: updates the weights of `model`.
        compiling: whether the updates are compiled.
        average: the average of weights that `train.average` asks for.
        history: the finished epochs.

    Raises:
        RunError, ShardMismatch, StoreError: as `fit`.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        train: CachedFeatures | TrainingSet,
        dev: CachedFeatures,
        processes: Processes,
    ) -> None:
        settings, device = config.train, processes.device
        self.config, self.processes, self.dev = config, processes, dev
        self.train = TrainingSet([train], config) if isinstance(train, CachedFeatures) else train
        self.train.require_dev(dev)
        require_shares(len(self.train), settings, processes)
        opened = open_encoder(config.encoder, self.train.corpora[0]) if config.encoder else None
        self.speech_model_folder = opened and opened.folder
        self.about = _describe(config, self.train, dev)
        if opened is not None:
            self.about = replace(self.about, speech_model=asdict(opened.spec))
        torch.manual_seed(settings.seed)
        class_weights = torch.tensor(config.loss.class_weights.by_index())
        self.model = build_countermeasure(self.about, class_weights, opened and opened.encoder).to(device)
        require_statistics(self.model, self.about.feature_shape, len(self.train), settings, processes)
        if processes.count > 1 and settings.batch_norm == "global":
            over_all_processes(self.model, device)
        steps_per_epoch = math.ceil(len(self.train) / settings.batch_size)
        self.updater = Updater(self.model, config, steps_per_epoch, device, processes)
        self.compiling = CompileChoice(self.updater, settings, self.about.feature_shape, processes)
        # the training features choose their place first; the dev features take the room that is left
        self.train_feed = Feed(self.train.caches, device, settings.features, processes.count_here)
        self.validator = Validator(dev, settings.features, settings.micro_batch or settings.batch_size, processes)
        self.average: Average = AVERAGES[settings.average](settings)
        self.history = History(settings)

    @property
    def conditions(self) -> Mapping[str, str]:
        """The conditions, besides the configuration, that must be the same when a run is resumed."""
        spec = self.about.encoder
        return ({"speech model": spec.weights_sha256} if spec else {}) | {
            "train cache": self.about.data["train"],
            "dev cache": self.about.data["dev"],
            "content of the train cache": _checksums(self.train.caches),
            "content of the dev cache": _checksums([self.dev]),
            "precision": str(self.updater.precision).removeprefix("torch."),
            "number of processes": str(self.processes.count),
        }


def _describe(config: ExperimentConfig, train: TrainingSet, dev: CachedFeatures) -> About:
    """The description of the network to be trained, before the first epoch."""
    return About(
        format_version=FORMAT_VERSION,
        backend=config.backend.name,
        settings=dict(config.backend.settings),
        feature_shape=train.plan.row_shape,
        identity=dict(train.plan.identity.settings),
        class_index=dict(CLASS_INDEX),
        epoch=None,
        dev_eer=None,
        dev_loss=None,
        versions=versions(),
        loss=config.loss.name,
        loss_settings=dict(config.loss.settings),
        trained_on=train.names,
        data={"train": _content(train.caches), "dev": _content([dev])},
        plugins=origins(config.backend.name, config.loss.name),
    )


def _content(caches: Sequence[CachedFeatures]) -> str:
    """The features, the trials and the numbers of utterances of caches, as text: a resumed run must have the same."""
    return "; ".join(f"{each.plan.identity.digest} {each.plan.trial_list_sha256} {len(each)}" for each in caches)


def _checksums(caches: Sequence[CachedFeatures]) -> str:
    """A SHA-256 for each cache that changes with every number in its rows, as text."""
    return " ".join(each.content_digest for each in caches)
