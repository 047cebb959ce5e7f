"""Training: shards × config → run folder. The evaluation partition is never seen here."""

import json
import math
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, WeightedRandomSampler
from torch.utils.tensorboard import SummaryWriter

from engine.averaging import AVERAGES, load_average
from engine.checkpoint import (
    ABOUT_AVERAGE,
    CONFIG,
    FORMAT_VERSION,
    METRICS,
    About,
    Countermeasure,
    RunError,
    build_countermeasure,
    load_last,
    save_average,
    save_best,
    save_last,
    versions,
)
from engine.config import ClassWeights, ExperimentConfig
from engine.optim import Updater, even_parts
from engine.score import run_network
from features.commit import atomic_path, exclusive
from features.dataset import CachedFeatures
from features.plan import Identity
from metrics.det import equal_error_rate
from protocols.trial import CLASS_INDEX


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
    """Who hears of every utterance that went through the network, of every finished epoch, and of the average."""

    advance: Callable[[int], None] = lambda n: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    average: Callable[[Judgement], None] = lambda judgement: None


def utterances_seen(config: ExperimentConfig, train: CachedFeatures, dev: CachedFeatures) -> int:
    """How many utterances a whole training tells its listener of, unless it ends early."""
    rounds = config.train.epochs + (config.train.average != "none")  # the average sees both once more
    return rounds * (len(train) + len(dev))


def fit(
    config: ExperimentConfig,
    train: CachedFeatures,
    dev: CachedFeatures,
    run: Path,
    device: torch.device,
    *,
    resume: bool = False,
    listener: Listener | None = None,
) -> Epoch:
    """Train a back-end; keep its best and its last epoch, and the average of many, in the folder `run`.

    A training that was interrupted and resumed ends with the weights of an uninterrupted one: every epoch draws its
    order and its dropout from (seed, epoch) alone.

    Returns:
        The best epoch.

    Raises:
        RunError: `run` exists (without `resume`), or is of another experiment or process; a partition of a single
            class; a network that does not take these features; a loss that is not a number.
        ShardMismatch: the caches are not what the config's `features` ask for, or not of one identity.
    """
    _check_data(config, train, dev)
    training = _Training(config, train, dev, run, device)
    _open_run(run, config, resume)
    listener = listener or Listener()
    with _held(run):
        training.restore()
        listener.advance(training.next_epoch * (len(train) + len(dev)))
        with SummaryWriter(run, purge_step=training.next_epoch) as curves:
            while not training.is_over:
                line = training.run_epoch(listener.advance)
                for name, value in line._asdict().items():
                    curves.add_scalar(name, value, line.epoch)
                listener.epoch(line)
        average = training.judge_average(listener.advance)
        if average is not None:
            listener.average(average)
    assert training.best is not None  # a config has at least one epoch
    return training.best


def _check_data(config: ExperimentConfig, train: CachedFeatures, dev: CachedFeatures) -> None:
    for data in (train, dev):
        data.plan.identity.require(Identity(config.features).flat(), data.folder)
        classes = {trial.key for trial in data.trials}
        if classes != set(CLASS_INDEX):
            raise RunError(f"{data.folder}: all utterances are {', '.join(classes)}; expected both bonafide and spoof")
    dev.plan.identity.require_same(train.plan.identity, dev.folder)
    common = {trial.utt_id for trial in train.trials} & {trial.utt_id for trial in dev.trials}
    if common and train.plan.corpus == dev.plan.corpus:  # names like 0001 recur from corpus to corpus
        raise RunError(
            f"{train.folder} and {dev.folder} share {len(common)} utterances, {min(common)} among them; expected none: "
            "the best epoch would be selected on what was trained on"
        )


def _open_run(run: Path, config: ExperimentConfig, resume: bool) -> None:
    """Make the run folder, or check that the one to resume is of this experiment."""
    if run.exists() and not resume:
        raise RunError(f"{run} exists; expected a new folder, or --resume to go on with that run")
    run.mkdir(parents=True, exist_ok=True)
    path = run / CONFIG
    if not path.exists():
        if any(not found.name.startswith(".") for found in run.iterdir()):
            raise RunError(f"{run}: not empty and without {CONFIG}; --resume expects a run folder")
        with atomic_path(path) as temporary:
            temporary.write_text(config.to_toml(), encoding="utf-8")
        return
    found, given = (dict(Identity(tomllib.loads(text)).flat()) for text in (path.read_text("utf-8"), config.to_toml()))
    differing = sorted(key for key in found | given if found.get(key) != given.get(key))
    if differing:
        raise RunError(f"{path}: another experiment in {', '.join(differing)}; --resume expects the same one")


@contextmanager
def _held(run: Path) -> Iterator[None]:
    try:
        with exclusive(run):
            yield
    except BlockingIOError:
        raise RunError(f"{run}: another process is training there; expected to be the only one") from None


class _Training:
    """Network, optimiser and average, and how far they have come."""

    def __init__(
        self, config: ExperimentConfig, train: CachedFeatures, dev: CachedFeatures, run: Path, device: torch.device
    ) -> None:
        self._config, self._train, self._dev, self._run, self._device = config, train, dev, run, device
        self._about = _describe(config, train)
        torch.manual_seed(config.train.seed)
        model = build_countermeasure(self._about, _by_index(config.loss.class_weights))
        layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
        self._model: Countermeasure = model.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self._steps_per_epoch = math.ceil(len(train) / config.train.batch_size)
        self._updater = Updater(self._model, config, self._steps_per_epoch, device)
        self._average = AVERAGES[config.train.average](config.train)
        self.next_epoch = 0
        self.best: Epoch | None = None
        self._lowest_dev_eer: float | None = None

    @property
    def is_over(self) -> bool:
        """All epochs are done, or as many in a row as the patience allows were no better than the best."""
        patience = self._config.train.patience
        in_vain = self.next_epoch - 1 - self.best.epoch if self.best else 0
        return self.next_epoch == self._config.train.epochs or 0 < patience <= in_vain

    def run_epoch(self, advance: Callable[[int], None]) -> Epoch:
        """Train on as many utterances as there are, judge on dev, keep what was learnt."""
        start, epoch = time.perf_counter(), self.next_epoch
        train_loss = self._train_epoch(epoch, advance)
        dev = self._judge(advance)
        lr = self._updater.rate((epoch + 1) * self._steps_per_epoch - 1)
        line = Epoch(epoch, lr, train_loss, dev.loss, dev.eer, time.perf_counter() - start)
        self._keep(line)
        return line

    def _train_epoch(self, epoch: int, advance: Callable[[int], None]) -> float:
        self._model.objective.begin_epoch(epoch, self._lowest_dev_eer)
        self._model.train()
        mean = _WeightedMean()
        for step, batch in enumerate(self._draw(epoch)):
            try:
                loss = self._updater.update(epoch * self._steps_per_epoch + step, batch.features, batch.label)
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):  # torch's batch norms, of one utterance
                    raise
                raise RunError(
                    f"epoch {epoch}, step {step}: {len(self._train)} utterances in batches of "
                    f"{self._config.train.batch_size} leave one alone, which this network's batch norms cannot take; "
                    "expected another train.batch_size"
                ) from error
            if not np.isfinite(loss):
                raise RunError(
                    f"epoch {epoch}, step {step}: the loss is {loss}; expected a number (a lower optimizer.lr, or "
                    f"train.precision=float32, may help). First utterance of the batch: {batch.utt_id[0]}"
                )
            self._average.after_update(dict(self._model.named_parameters()))
            mean.add(loss, self._model.objective.batch_weight(batch.label.to(self._device)))
            advance(len(batch.label))
        return mean.value

    def _draw(self, epoch: int) -> DataLoader:
        """Batches of an epoch's training utterances; what is drawn while they are read depends on (seed, epoch)."""
        torch.manual_seed(_epoch_seed(self._config.train.seed, epoch))
        batch_size = self._config.train.batch_size
        if not self._config.train.balanced:
            return DataLoader(self._train, batch_size, shuffle=True)
        chances = _balance([trial.label for trial in self._train.trials])
        return DataLoader(self._train, batch_size, sampler=WeightedRandomSampler(chances, len(chances)))

    @torch.inference_mode()
    def _judge(self, advance: Callable[[int], None]) -> Judgement:
        mean, objective = _WeightedMean(), self._model.objective
        scores, labels = [], []
        batch_size = self._config.train.micro_batch or self._config.train.batch_size
        for batch in run_network(self._model, self._dev, batch_size, self._device, advance):
            mean.add(float(objective(batch.output, batch.labels)), objective.batch_weight(batch.labels))
            scores.append(objective.score(batch.output).cpu())
            labels.append(batch.labels.cpu())
        score, bonafide = torch.cat(scores).numpy(), torch.cat(labels).numpy() == CLASS_INDEX["bonafide"]
        if not np.isfinite(score).all():
            raise RunError("the network's dev scores are not finite; expected numbers (a lower optimizer.lr may help)")
        return Judgement(mean.value, equal_error_rate(score[bonafide], score[~bonafide]).rate)

    def _keep(self, line: Epoch) -> None:
        """Write the epoch down. Killed before `last.ckpt`, a resumed run repeats this very epoch; killed between it
        and the best weights, a resumed run finds these in it."""
        _append_line(self._run / METRICS, line)
        rank, lowest = self._rank(line), self._lowest_dev_eer
        is_best = self.best is None or rank < self._rank(self.best)
        self.best = line if is_best else self.best
        self._lowest_dev_eer = line.dev_eer if lowest is None else min(line.dev_eer, lowest)
        self._average.after_epoch(dict(self._model.named_parameters()), line.epoch, rank)
        about = replace(self._about, epoch=line.epoch, dev_eer=line.dev_eer, dev_loss=line.dev_loss)
        save_last(self._run, self._state(about))
        if is_best:
            save_best(self._run, self._model, about)
        self.next_epoch = line.epoch + 1

    def _state(self, about: About) -> dict[str, Any]:
        """What `restore` needs to go on after that epoch."""
        assert self.best is not None
        return {
            "epoch": about.epoch,
            "best": list(self.best),
            "lowest_dev_eer": self._lowest_dev_eer,
            "about": asdict(about),
            "conditions": self._conditions(),
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
        save_average(self._run, self._model, about)
        return dev

    def _features(self, advance: Callable[[int], None]) -> Iterator[torch.Tensor]:
        """Of one more epoch, in the parts and with the mixture of classes that batch norms met in training."""
        for batch in self._draw(self._config.train.epochs):
            for part in even_parts(batch.features, self._config.train.micro_batch):
                yield part.to(self._device).float()
                advance(len(part))

    def _conditions(self) -> dict[str, str]:
        """What a resumed run must share with its beginning, beside the config: caches, and `auto` precision."""
        caches = {
            name: f"{data.plan.identity.digest} {data.plan.trial_list_sha256} {len(data)}"
            for name, data in (("train cache", self._train), ("dev cache", self._dev))
        }
        return caches | {"precision": str(self._updater.precision).removeprefix("torch.")}

    def restore(self) -> None:
        """Go on after the last finished epoch of the run folder, if there is one."""
        state = load_last(self._run)
        if state is not None:
            differing = [name for name, value in self._conditions().items() if state["conditions"].get(name) != value]
            if differing:
                raise RunError(f"{self._run}: begun with another {', '.join(differing)}; --resume expects the same")
            self._model.load_state_dict(state["model"])
            self._updater.load_state_dict(state)
            self._average.load_state_dict(state["average"], self._device)
            self.next_epoch = state["epoch"] + 1
            self.best, self._lowest_dev_eer = Epoch(*state["best"]), state["lowest_dev_eer"]
            if self.best.epoch == state["epoch"]:  # it may have been killed before it wrote these
                save_best(self._run, self._model, About.from_json(state["about"], self._run))
        _keep_lines(self._run / METRICS, self.next_epoch)


def _describe(config: ExperimentConfig, train: CachedFeatures) -> About:
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
    )


class _WeightedMean:
    """Mean of batch losses, each counted by the class weights of its utterances, as the loss itself does."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, loss: float, weight: float) -> None:
        self._sum += loss * weight
        self._weight += weight

    @property
    def value(self) -> float:
        return self._sum / self._weight


def _by_index(weights: ClassWeights) -> torch.Tensor:
    """Class weights [2] in the order of the class index."""
    by_index = torch.empty(len(CLASS_INDEX))
    for key, index in CLASS_INDEX.items():
        by_index[index] = getattr(weights, key)
    return by_index


def _balance(labels: Sequence[int]) -> list[float]:
    """Chances of utterances, up to a factor, that make both classes of their class indices equally likely."""
    count = Counter(labels)
    return [1 / count[label] for label in labels]


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _append_line(path: Path, line: Epoch) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line._asdict()) + "\n")


def _keep_lines(path: Path, number: int) -> None:
    """Cut `metrics.jsonl` back to its first lines: an epoch that was not finished is written again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:number] if path.exists() else []
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
