"""Training: caches × configuration → run folder. The evaluation partition is never used here."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from spoofcache.engine.about import RunError
from spoofcache.engine.averaging import load_average
from spoofcache.engine.before_training import require_room
from spoofcache.engine.calibrating import calibrate
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.determinism import deterministic
from spoofcache.engine.history import Epoch
from spoofcache.engine.processes import ALONE, Processes, Share, even_parts
from spoofcache.engine.run_folder import locked, open_run
from spoofcache.engine.sampling import draw_rows, seed_epoch
from spoofcache.engine.snapshots import Snapshots
from spoofcache.engine.training_set import TrainingSet
from spoofcache.engine.training_setup import TrainingSetup
from spoofcache.engine.validation import DevFigures, WeightedMean
from spoofcache.engine.warm_start import InitialWeights, start_from, weights_of
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Batch


@dataclass(frozen=True)
class Listener:
    """Functions that `fit` calls to report its progress.

    Attributes:
        advance: called with the number of utterances that have gone through the network since the last call.
        note: called with a sentence, such as where the features are kept.
        epoch: called with every finished epoch.
        average: called with the dev figures of the averaged network.
    """

    advance: Callable[[int], None] = lambda n: None
    note: Callable[[str], None] = lambda sentence: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    average: Callable[[DevFigures], None] = lambda figures: None


@dataclass(frozen=True)
class FitOptions:
    """How `fit` runs.

    Attributes:
        resume: continue after the last finished epoch in the run folder. The experiment may have more epochs than
            before, unless its schedule depends on their number.
        init: run folder whose best weights a new run starts from, instead of random ones.
        listener: receives the progress; with several processes only that of the main one is called.
        processes: the processes that train together, each of which calls `fit`, and the device of this one. Pass
            `Processes(torch.device("cuda"))` to train on a GPU. The default is a single process on the CPU.
    """

    resume: bool = False
    init: Path | None = None
    listener: Listener = Listener()
    processes: Processes = ALONE


def utterances_seen(config: ExperimentConfig, train: CachedFeatures | TrainingSet, dev: CachedFeatures) -> int:
    """The number of utterances that a whole training reports to `Listener.advance`, unless it stops early."""
    averages = config.train.average != "none"  # the average passes over both once more
    return (config.train.epochs + averages) * (len(train) + len(dev)) + (1 + averages) * len(dev)  # to calibrate them


def fit(
    config: ExperimentConfig,
    train: CachedFeatures | TrainingSet,
    dev: CachedFeatures,
    run: Path | str,
    options: FitOptions = FitOptions(),
) -> Epoch:
    """Train a back-end, and keep its best epoch, its last epoch and the average of its weights in a run folder.

    Calibration and threshold of the best epoch and of the average are fitted on `dev`, and kept as well.

    A training that is interrupted and resumed ends with the same weights as an uninterrupted one: each epoch draws its
    order, its views and its dropout from the random seed and its own number alone. On a GPU, whose kernels may add in
    any order, this needs `train.deterministic`; without it, the weights agree up to rounding.

    Args:
        config: the experiment.
        train: a clean cached partition, or several of them as a TrainingSet.
        dev: the cached partition that selects the best epoch.
        run: the run folder: a new one, or with `options.resume` an unfinished one.
        options: device, processes, progress and resuming.

    Returns:
        The best epoch.

    Raises:
        RunError: the run folder exists (without `resume`), or belongs to another experiment or process; a partition
            has only one class; the network does not take these features; a loss is not a finite number; a batch has
            fewer utterances than there are processes; an operator has no deterministic algorithm, and the configuration
            asks for it.
        ShardMismatch: the caches are not those that the configuration's `features` ask for, or have different
            identities.
        StoreError: a view that the configuration asks for is missing.
    """
    with deterministic(config.train.deterministic):
        setup = TrainingSetup(config, train, dev, options.processes)
        run, initial = Path(run), None
        if options.init is not None:
            initial = weights_of(options.init, setup.about.identity)
            start_from(setup.model, initial)  # now, since it is too late for a refusal once there is a folder
        if options.processes.is_main:
            require_room(run, setup.model, config)
        with _opened(run, config, options, initial):
            return _Training(setup, Snapshots(run, setup), options.listener).finish(run)


@contextmanager
def _opened(run: Path, config: ExperimentConfig, options: FitOptions, initial: InitialWeights | None) -> Iterator[None]:
    """The run folder, which the main process creates and locks while the others wait."""
    processes = options.processes
    if processes.is_main:
        open_run(run, config, options.resume, initial)
    with locked(run) if processes.is_main else nullcontext():
        processes.broadcast("the run folder is open")
        yield


class _Training:
    """The epochs of a training."""

    def __init__(self, setup: TrainingSetup, snapshots: Snapshots, listener: Listener) -> None:
        self._setup, self._snapshots = setup, snapshots
        self._listener = listener if setup.processes.is_main else Listener()

    def finish(self, run: Path) -> Epoch:
        """Train from where the run folder stands to the end; returns the best epoch."""
        setup, listener = self._setup, self._listener
        for note in self._snapshots.restore():
            listener.note(note)
        if len(setup.train.caches) > 1:
            listener.note(f"train: {setup.train}")
        listener.note(f"features: train {setup.train_feed}; dev {setup.validator.feed}")
        listener.advance(setup.history.next_epoch * (len(setup.train) + len(setup.validator.feed)))
        first = setup.history.next_epoch
        with SummaryWriter(run, purge_step=first) if setup.processes.is_main else nullcontext() as curves:
            while not setup.history.is_over:
                line = self._run_epoch(setup.history.next_epoch)
                for name, value in line._asdict().items():
                    if curves is not None:
                        curves.add_scalar(name, value, line.epoch)
                listener.epoch(line)
        if self._snapshots.needs_average:
            self._make_average()
        self._calibrate(run)
        assert setup.history.best is not None  # a configuration has at least one epoch
        return setup.history.best

    def _calibrate(self, run: Path) -> None:
        """Let the main process fit what the run says of its scores, while the others wait."""
        setup = self._setup
        if setup.processes.is_main:
            size, device = setup.validator.batch_size, setup.processes.device
            notes = calibrate(run, setup.dev, size, device, self._listener.advance, setup.speech_model_folder)
            for note in notes:
                self._listener.note(note)
        setup.processes.broadcast("the run is calibrated")

    def _run_epoch(self, epoch: int) -> Epoch:
        """Train on what an epoch draws, evaluate on dev, and save the result."""
        setup, start = self._setup, time.perf_counter()
        train_loss = self._train_epoch(epoch)
        dev = setup.validator.run(setup.model, self._listener.advance)
        lr = setup.updater.rate((epoch + 1) * setup.updater.steps_per_epoch - 1)
        line = Epoch(epoch, lr, train_loss, dev.loss, dev.eer, time.perf_counter() - start)
        self._snapshots.save_epoch(line)
        return line

    def _train_epoch(self, epoch: int) -> float:
        setup = self._setup
        setup.model.objective.begin_epoch(epoch, setup.history.lowest_dev_eer)
        setup.model.train()
        mean, start = WeightedMean(), time.perf_counter()
        decisive = 2 if setup.updater.steps_per_epoch > 2 else 1  # the very first update holds a GPU's start-up
        for step, (batch, batch_size) in enumerate(self._draw(epoch), epoch * setup.updater.steps_per_epoch):
            if step < decisive:
                start = time.perf_counter()
            elif step == decisive:  # the update before it has shown how long an update takes
                seconds = time.perf_counter() - start
                self._listener.note(f"network: {setup.compiling.decide(batch.features, batch.label, seconds)}")
            mean.add(self._update(step, batch), setup.model.objective.batch_weight(batch.label))
            setup.average.after_update(setup.model.trained())
            self._listener.advance(batch_size)
        return mean.over(setup.processes)

    def _draw(self, epoch: int) -> Iterator[Share]:
        """This process's shares of an epoch's batches.

        Random numbers that are drawn while the batches are read, such as those of dropout, depend on the random seed,
        the epoch and the process alone.
        """
        settings, processes = self._setup.config.train, self._setup.processes
        seed_epoch(settings.seed, epoch)
        batches = draw_rows(self._setup.train.pool, settings, self._setup.history.growth(epoch))
        if processes.rank:
            seed_epoch(settings.seed, epoch, processes.rank)
        return processes.share_out(self._setup.train_feed, batches, settings.micro_batch)

    def _update(self, step: int, batch: Batch) -> float:
        setup = self._setup
        where = "epoch {}, step {}".format(*divmod(step, setup.updater.steps_per_epoch))
        loss = setup.updater.update(step, batch.features, batch.label)
        if not np.isfinite(loss):
            raise RunError(
                f"{where}: the loss is {loss}; expected a finite number (a lower optimizer.lr, or "
                "train.precision=float32, may help). First utterance of the batch: "
                f"{setup.train_feed.utt_id(batch.rows[0])}"
            )
        return loss

    def _make_average(self) -> None:
        """Save the average of a finished training.

        It replaces the last weights in the network, which are safe in `last.ckpt`: a run that is killed here makes the
        average again when it is resumed.
        """
        setup, weights = self._setup, self._setup.average.weights()
        assert weights is not None  # Snapshots.needs_average
        load_average(setup.model, weights, self._one_more_epoch())
        dev = setup.validator.run(setup.model, self._listener.advance)
        self._snapshots.save_average(dev)
        self._listener.average(dev)

    def _one_more_epoch(self) -> Iterator[torch.Tensor]:
        """Features of one more epoch, in the parts and with the mixture of classes that batch norms met in training."""
        for batch, batch_size in self._draw(self._setup.config.train.epochs):
            for part in even_parts(batch.features, self._setup.config.train.micro_batch, batch_size):
                yield part.to(self._setup.processes.device).float()
            self._listener.advance(batch_size)
