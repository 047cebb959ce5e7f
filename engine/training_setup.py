"""Everything that a training needs, checked and built in the order in which it is needed, before the first epoch."""

import math
from collections.abc import Mapping

import torch

from spoofcache.common.plugins import origins
from spoofcache.engine.averaging import AVERAGES, Average
from spoofcache.engine.batch_norm import over_all_processes
from spoofcache.engine.checkpoint import (
    FORMAT_VERSION,
    About,
    build_countermeasure,
    versions,
)
from spoofcache.engine.compile_choice import CompileChoice
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.history import History
from spoofcache.engine.optim import Updater
from spoofcache.engine.processes import Processes
from spoofcache.engine.training_set import TrainingSet, condition
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
        train_feed: where the rows of `train` are read from.
        validator: evaluates the network on the dev partition.
        about: what the training makes, before its first epoch.
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
        self.config, self.processes = config, processes
        self.train = TrainingSet([train], config) if isinstance(train, CachedFeatures) else train
        self.train.require_dev(dev)
        processes.require_shares(len(self.train), settings.batch_size, settings.micro_batch)
        self.about = _describe(config, self.train, dev)
        torch.manual_seed(settings.seed)
        class_weights = torch.tensor(config.loss.class_weights.by_index())
        self.model = build_countermeasure(self.about, class_weights).to(device)
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
        """What a resumed run must share with its beginning beside the configuration."""
        return {
            "train cache": self.about.data["train"],
            "dev cache": self.about.data["dev"],
            "precision": str(self.updater.precision).removeprefix("torch."),
            "number of processes": str(self.processes.count),
        }


def _describe(config: ExperimentConfig, train: TrainingSet, dev: CachedFeatures) -> About:
    """What the training makes, before its first epoch."""
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
        data={"train": condition(train.caches), "dev": condition([dev])},
        plugins=origins(config.backend.name, config.loss.name),
    )
