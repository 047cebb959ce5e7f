"""Training: shards × config → run folder. The evaluation partition is never seen here."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from spoofcache.common.plugins import origins
from spoofcache.engine.averaging import AVERAGES, load_average
from spoofcache.engine.batch_norm import over_all_processes
from spoofcache.engine.checkpoint import (
    ABOUT_AVERAGE,
    FORMAT_VERSION,
    LAST,
    METRICS,
    About,
    RunError,
    build_countermeasure,
    load_last,
    save_average,
    save_best,
    save_last,
    versions,
)
from spoofcache.engine.compiling import compile_or_refuse, settle
from spoofcache.engine.config import ClassWeights, ExperimentConfig
from spoofcache.engine.optim import Updater
from spoofcache.engine.processes import ALONE, Processes, Share, even_parts
from spoofcache.engine.run_folder import append_line, held, keep_lines, open_run
from spoofcache.engine.sampling import draw_rows, seed_epoch
from spoofcache.engine.score import run_network
from spoofcache.engine.trained_on import write_trained_on
from spoofcache.engine.training_set import TrainingSet, condition
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.feed import Batch, Feed
from spoofcache.metrics.det import equal_error_rate
from spoofcache.models.losses import transition
from spoofcache.protocols.trial import CLASS_INDEX


class Epoch(NamedTuple):
    """A line of `metrics.jsonl`. Losses are means over utterances, by class weight; the EER is a fraction.

    `lr` is the learning rate of the epoch's last update.
    """

    epoch: int
    lr: float
    train_loss: float
    dev_loss: float
    dev_eer: float
    seconds: float


class Judgement(NamedTuple):
    """Loss and EER on dev, as in Epoch."""

    loss: float
    eer: float


@dataclass(frozen=True)
class Listener:
    """Who hears of every utterance that went through the network, of every finished epoch, and of the average; and
    in a sentence each, where the features live and whether the network is compiled."""

    advance: Callable[[int], None] = lambda n: None
    note: Callable[[str], None] = lambda sentence: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    average: Callable[[Judgement], None] = lambda judgement: None


def utterances_seen(config: ExperimentConfig, train: CachedFeatures | TrainingSet, dev: CachedFeatures) -> int:
    """How many utterances a whole training tells its listener of, unless it ends early."""
    rounds = config.train.epochs + (config.train.average != "none")  # the average sees both once more
    return rounds * (len(train) + len(dev))


def fit(
    config: ExperimentConfig,
    train: CachedFeatures | TrainingSet,
    dev: CachedFeatures,
    run: Path,
    device: torch.device,
    *,
    resume: bool = False,
    listener: Listener | None = None,
    processes: Processes = ALONE,
) -> Epoch:
    """Train a back-end; keep its best and its last epoch, and the average of many, in the folder `run`.

    A training that was interrupted and resumed ends with the weights of an uninterrupted one: every epoch draws its
    order, its views and its dropout from (seed, epoch) alone.

    Args:
        config: the experiment.
        train: a clean cache, or several of them as a TrainingSet.
        dev: the cache that selects the best epoch.
        run: the run folder, new or (with `resume`) an unfinished one.
        device: where the network runs.
        resume: go on after the last finished epoch.
        listener: hears how it goes.
        processes: that train together, and all call this; the main one writes and tells its listener.

    Returns:
        The best epoch.

    Raises:
        RunError: `run` exists (without `resume`), or is of another experiment or process; a partition of a single
            class; a network that does not take these features; a loss that is not a number; a batch with fewer
            utterances than processes.
        ShardMismatch: the caches are not what the config's `features` ask for, or not of one identity.
        StoreError: a view that the config asks for is not there.
    """
    if isinstance(train, CachedFeatures):
        train = TrainingSet([train], config)
    train.require_dev(dev)
    training = _Training(config, train, dev, run, device, processes)
    if listener is None or not processes.is_main:
        listener = Listener()
    with _opened(run, config, resume, processes):
        training.restore()
        if len(train.caches) > 1:
            listener.note(f"train: {train}")
        listener.note(training.places)
        listener.advance(training.next_epoch * (len(train) + len(dev)))
        with SummaryWriter(run, purge_step=training.next_epoch) if processes.is_main else nullcontext() as curves:
            while not training.is_over:
                line = training.run_epoch(listener)
                for name, value in line._asdict().items():
                    if curves is not None:
                        curves.add_scalar(name, value, line.epoch)
                listener.epoch(line)
        average = training.judge_average(listener.advance)
        if average is not None:
            listener.average(average)
    assert training.best is not None  # a config has at least one epoch
    return training.best


@contextmanager
def _opened(run: Path, config: ExperimentConfig, resume: bool, processes: Processes) -> Iterator[None]:
    """The run folder, which the main process makes and holds while the others wait."""
    if processes.is_main:
        open_run(run, config, resume)
    with held(run) if processes.is_main else nullcontext():
        processes.main_says("it is there")
        yield


class _Training:
    """Network, optimiser and average, and how far they have come."""

    def __init__(
        self,
        config: ExperimentConfig,
        train: TrainingSet,
        dev: CachedFeatures,
        run: Path,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._config, self._train, self._dev, self._run, self._device = config, train, dev, run, device
        self._processes = processes
        processes.require_shares(len(train), config.train.batch_size, config.train.micro_batch)
        self._about = _describe(config, train, dev)
        torch.manual_seed(config.train.seed)
        self._model = build_countermeasure(self._about, _by_index(config.loss.class_weights)).to(device)
        self._steps_per_epoch = math.ceil(len(train) / config.train.batch_size)
        if processes.count > 1 and config.train.batch_norm == "global":
            over_all_processes(self._model, device)
        self._updater = Updater(self._model, config, self._steps_per_epoch, device, processes)
        self._require_compiler(config.train.compile == "on", "train.compile is on")
        self._train_feed = Feed(train.caches, device, config.train.features, processes.count_here)
        self._dev_feed = Feed([dev], device, config.train.features, processes.count_here)
        self._average = AVERAGES[config.train.average](config.train)
        self.next_epoch = 0
        self.best: Epoch | None = None
        self._lowest_dev_eer: float | None = None
        self._grows_from: int | None = None
        """The first epoch that knew of a dev EER below `train.growth.eer_threshold`."""

    @property
    def is_over(self) -> bool:
        """All epochs are done, or as many in a row as the patience allows were no better than the best."""
        patience = self._config.train.patience
        in_vain = self.next_epoch - 1 - self.best.epoch if self.best else 0
        return self.next_epoch == self._config.train.epochs or 0 < patience <= in_vain

    @property
    def places(self) -> str:
        """Where the features live."""
        return f"features: train {self._train_feed}; dev {self._dev_feed}"

    def run_epoch(self, listener: Listener) -> Epoch:
        """Train on what an epoch sees, judge on dev, keep what was learnt."""
        start, epoch = time.perf_counter(), self.next_epoch
        train_loss = self._train_epoch(epoch, listener)
        dev = self._judge(listener.advance)
        lr = self._updater.rate((epoch + 1) * self._steps_per_epoch - 1)
        line = Epoch(epoch, lr, train_loss, dev.loss, dev.eer, time.perf_counter() - start)
        self._keep(line)
        return line

    def _train_epoch(self, epoch: int, listener: Listener) -> float:
        self._model.objective.begin_epoch(epoch, self._lowest_dev_eer)
        self._model.train()
        mean, start = _WeightedMean(), time.perf_counter()
        for step, (batch, whole) in enumerate(self._draw(epoch), epoch * self._steps_per_epoch):
            if step == 1:  # the first one tells how long they take
                listener.note(f"network: {self._settle(batch, time.perf_counter() - start)}")
            loss = self._update(step, batch)
            self._average.after_update(dict(self._model.named_parameters()))
            mean.add(loss, self._model.objective.batch_weight(batch.label))
            listener.advance(whole)
        return mean.over(self._processes)

    def _update(self, step: int, batch: Batch) -> float:
        where = "epoch {}, step {}".format(*divmod(step, self._steps_per_epoch))
        try:
            loss = self._updater.update(step, batch.features, batch.label)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # torch's batch norms, of one utterance
                raise
            raise RunError(
                f"{where}: {len(self._train)} utterances in batches of {self._config.train.batch_size} leave one "
                "alone, which this network's batch norms cannot take; expected another train.batch_size"
            ) from error
        if not np.isfinite(loss):
            raise RunError(
                f"{where}: the loss is {loss}; expected a number (a lower optimizer.lr, or train.precision=float32, "
                f"may help). First utterance of the batch: {self._train_feed.utt_id(batch.rows[0])}"
            )
        return loss

    def _settle(self, batch: Batch, seconds: float) -> str:
        """Whether the training is compiled from here on, after a step of so many seconds; the main process decides."""
        said = self._settle_alone(batch, seconds) if self._processes.is_main else ""
        is_compiled, said = self._processes.main_says((self._updater.forward.is_compiled, said))
        if is_compiled and not self._updater.forward.is_compiled:
            self._compile("the main process compiles")
        return said

    def _settle_alone(self, batch: Batch, seconds: float) -> str:
        size, updates = self._updater.part_size, self._config.train.epochs * self._steps_per_epoch
        parts = math.ceil(self._config.train.batch_size / (size * self._processes.count))

        def trial() -> float:
            return self._updater.rehearse(batch.features[:size], batch.label[:size])

        wanted = self._config.train.compile
        return settle(self._updater.forward, wanted, self._device, size, seconds / parts, updates * parts, trial)

    def _compile(self, said: str) -> None:
        """Compile for certain, or RunError; the step that tells is of silence."""
        size = self._updater.part_size
        features, labels = torch.zeros(size, *self._train.plan.row_shape), torch.zeros(size, dtype=torch.long)

        def trial() -> float:
            return self._updater.rehearse(features.to(self._device), labels)

        self._model.train()
        compile_or_refuse(self._updater.forward, size, trial, said)

    def _require_compiler(self, is_compiled: bool, said: str) -> None:
        hindrance = self._updater.forward.hindrance(self._device)
        if is_compiled and hindrance:
            raise RunError(f"{said}, but {hindrance}; expected a machine that can, or train.compile=off from the start")

    def _draw(self, epoch: int) -> Iterator[Share]:
        """Shares of an epoch's batches; what is drawn while they are read depends on (seed, epoch) and the process."""
        settings, start = self._config.train, self._grows_from
        grown = 0.0 if start is None else transition(epoch, start, settings.growth.epochs)
        seed_epoch(settings.seed, epoch)
        batches = draw_rows(self._train.pool, settings, grown)
        if self._processes.rank:
            seed_epoch(settings.seed, epoch, self._processes.rank)
        return self._processes.share_out(self._train_feed, batches, settings.micro_batch)

    @torch.inference_mode()
    def _judge(self, advance: Callable[[int], None]) -> Judgement:
        mean, objective = _WeightedMean(), self._model.objective
        own_scores = torch.zeros(len(self._dev), dtype=torch.float64)
        batch_size = self._config.train.micro_batch or self._config.train.batch_size
        for batch in run_network(self._model, self._dev_feed, batch_size, self._device, advance, self._processes):
            loss = objective(batch.output, batch.labels.to(self._device))
            mean.add(float(loss), objective.batch_weight(batch.labels))
            own_scores[list(batch.rows)] = objective.score(batch.output).double().cpu()
        score = self._processes.total(own_scores).numpy(force=True)  # 0 is what the others' are here
        bonafide = np.array([trial.key == "bonafide" for trial in self._dev.trials])
        if not np.isfinite(score).all():
            raise RunError("the network's dev scores are not finite; expected numbers (a lower optimizer.lr may help)")
        return Judgement(mean.over(self._processes), equal_error_rate(score[bonafide], score[~bonafide]).rate)

    def _keep(self, line: Epoch) -> None:
        """Write the epoch down. Killed before `last.ckpt`, a resumed run repeats this very epoch; killed between it
        and the best weights, a resumed run finds these in it."""
        if self._processes.is_main:
            append_line(self._run / METRICS, line._asdict())
        rank, lowest = self._rank(line), self._lowest_dev_eer
        is_best = self.best is None or rank < self._rank(self.best)
        self.best = line if is_best else self.best
        self._lowest_dev_eer = line.dev_eer if lowest is None else min(line.dev_eer, lowest)
        if self._grows_from is None and self._lowest_dev_eer < self._config.train.growth.eer_threshold:
            self._grows_from = line.epoch + 1
        self._average.after_epoch(dict(self._model.named_parameters()), line.epoch, rank)
        about = replace(self._about, epoch=line.epoch, dev_eer=line.dev_eer, dev_loss=line.dev_loss)
        if self._processes.is_main:
            save_last(self._run, self._state(about))
        if self._processes.is_main and is_best:
            save_best(self._run, self._model, about)
        self.next_epoch = line.epoch + 1

    def _state(self, about: About) -> dict[str, Any]:
        """What `restore` needs to go on after that epoch."""
        assert self.best is not None
        return {
            "epoch": about.epoch,
            "best": list(self.best),
            "lowest_dev_eer": self._lowest_dev_eer,
            "grows_from": self._grows_from,
            "about": asdict(about),
            "conditions": self._conditions(),
            "compiled": self._updater.forward.is_compiled,
            "model": self._model.state_dict(),
            "average": self._average.state_dict(),
            **self._updater.state_dict(),
        }

    def _rank(self, line: Epoch) -> tuple[float, ...]:
        return (line.dev_loss,) if self._config.train.select == "dev_loss" else (line.dev_eer, line.dev_loss)

    def judge_average(self, advance: Callable[[int], None]) -> Judgement | None:
        """Write the average of a finished training; None where there is none, or it is there already.

        It takes the place of the last weights in the network, which `last.ckpt` has: killed here, a resumed run does
        it all again.
        """
        weights = self._average.weights()
        if weights is None or (self._run / ABOUT_AVERAGE).exists():
            return None
        load_average(self._model, weights, self._features(advance))
        dev = self._judge(advance)
        about = replace(self._about, epoch=self.next_epoch - 1, dev_eer=dev.eer, dev_loss=dev.loss)
        if self._processes.is_main:
            save_average(self._run, self._model, about)
        return dev

    def _features(self, advance: Callable[[int], None]) -> Iterator[torch.Tensor]:
        """Of one more epoch, in the parts and with the mixture of classes that batch norms met in training."""
        for batch, whole in self._draw(self._config.train.epochs):
            for part in even_parts(batch.features, self._config.train.micro_batch, whole):
                yield part.to(self._device).float()
            advance(whole)

    def _conditions(self) -> dict[str, str]:
        """What a resumed run must share with its beginning beside the config: caches, `auto` precision, processes."""
        caches = {"train cache": condition(self._train.caches), "dev cache": condition([self._dev])}
        precision = str(self._updater.precision).removeprefix("torch.")
        return caches | {"precision": precision, "number of processes": str(self._processes.count)}

    def restore(self) -> None:
        """Go on after the last finished epoch of the run folder, if there is one."""
        state = load_last(self._run)
        if state is not None:
            begun = {"number of processes": "1"} | state["conditions"]  # not said by runs of the time of one process
            differing = [name for name, value in self._conditions().items() if begun.get(name) != value]
            if differing:
                raise RunError(f"{self._run}: begun with another {', '.join(differing)}; --resume expects the same")
            self._model.load_state_dict(state["model"])
            self._updater.load_state_dict(state)
            if state.get("compiled"):  # as it was begun, whatever a trial would say today
                said = f"{self._run}: begun with a compiled network"
                self._require_compiler(True, said)
                self._compile(said)
            self._average.load_state_dict(state["average"], self._device)
            self.next_epoch = state["epoch"] + 1
            self.best, self._lowest_dev_eer = Epoch(*state["best"]), state["lowest_dev_eer"]
            self._grows_from = state["grows_from"]
        here = (self.next_epoch, self._conditions())
        if self._processes.main_says(here) != here:
            raise RunError(
                f"{self._run}: {LAST} or the caches are not what the main process sees; expected the same files on "
                "every machine"
            )
        if self._processes.is_main:
            write_trained_on(self._run, self._train.corpora)
            self._mend(state)

    def _mend(self, state: Mapping[str, Any] | None) -> None:
        """Write what a killed process may not have written after `last.ckpt`, and take back what came later."""
        if state is not None and self.best is not None and self.best.epoch == state["epoch"]:
            save_best(self._run, self._model, About.from_json(state["about"], self._run))
        keep_lines(self._run / METRICS, self.next_epoch)


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


class _WeightedMean:
    """Mean of batch losses, each counted by the class weights of its utterances, as the loss itself does."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, loss: float, weight: float) -> None:
        self._sum += loss * weight
        self._weight += weight

    def over(self, processes: Processes) -> float:
        """The mean over what all processes have added."""
        total, weight = processes.total(torch.tensor([self._sum, self._weight], dtype=torch.float64)).tolist()
        return float(total / weight)


def _by_index(weights: ClassWeights) -> torch.Tensor:
    """Class weights [2] in the order of the class index."""
    by_index = torch.empty(len(CLASS_INDEX))
    for key, index in CLASS_INDEX.items():
        by_index[index] = getattr(weights, key)
    return by_index
