"""Training: shards × config → run folder. The evaluation partition is never seen here."""

import json
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from engine.checkpoint import (
    CONFIG,
    FORMAT_VERSION,
    METRICS,
    About,
    RunError,
    build_backend,
    load_last,
    save_best,
    save_last,
    versions,
)
from engine.config import ClassWeights, ExperimentConfig, OptimizerConfig, ScheduleConfig
from engine.score import run_network
from features.commit import atomic_path, exclusive
from features.dataset import CachedFeatures
from features.plan import Identity
from metrics.det import equal_error_rate
from models.losses import LOSSES
from models.output import log_odds
from protocols.trial import CLASS_INDEX


class Epoch(NamedTuple):
    """A line of `metrics.jsonl`. Losses are means over utterances, by class weight; the EER is a fraction."""

    epoch: int
    lr: float
    train_loss: float
    dev_loss: float
    dev_eer: float
    seconds: float


@dataclass(frozen=True)
class Listener:
    """Who hears of every utterance that went through the network, and of every finished epoch."""

    advance: Callable[[int], None] = lambda n: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


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
    """Train a back-end; keep its best and its last epoch in the folder `run`.

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
            for epoch in range(training.next_epoch, config.train.epochs):
                line = training.run_epoch(epoch, listener.advance)
                for name, value in line._asdict().items():
                    curves.add_scalar(name, value, epoch)
                listener.epoch(line)
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
    """Network and optimiser, and how far they have come."""

    def __init__(
        self, config: ExperimentConfig, train: CachedFeatures, dev: CachedFeatures, run: Path, device: torch.device
    ) -> None:
        self._config, self._train, self._dev, self._run, self._device = config, train, dev, run, device
        torch.manual_seed(config.train.seed)
        model = build_backend(config.backend.name, train.plan.row_shape, config.backend.settings)
        layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
        self._model = model.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self._class_weights = _by_index(config.loss.class_weights).to(device)
        self._loss = LOSSES[config.loss.name](self._class_weights)
        self._optimizer = _optimizer(config.optimizer, self._model.parameters())
        self._precision = _precision(config.train.precision, device)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._precision is torch.float16)
        self.next_epoch = 0
        self.best: Epoch | None = None

    def run_epoch(self, epoch: int, advance: Callable[[int], None]) -> Epoch:
        """Train on every utterance once, judge on dev, keep what was learnt."""
        start = time.perf_counter()
        lr = self._config.optimizer.lr * _lr_factor(self._config.schedule, epoch)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        train_loss = self._train_epoch(epoch, advance)
        dev_loss, dev_eer = self._judge(advance)
        line = Epoch(epoch, lr, train_loss, dev_loss, dev_eer, time.perf_counter() - start)
        self._keep(line)
        return line

    def _train_epoch(self, epoch: int, advance: Callable[[int], None]) -> float:
        self._model.train()
        torch.manual_seed(_epoch_seed(self._config.train.seed, epoch))
        mean = _WeightedMean()
        for step, batch in enumerate(DataLoader(self._train, self._config.train.batch_size, shuffle=True)):
            labels = batch.label.to(self._device)
            loss = self._step(batch.features.to(self._device).float(), labels)
            if not np.isfinite(loss):
                raise RunError(
                    f"epoch {epoch}, step {step}: the loss is {loss}; expected a number (a lower optimizer.lr, or "
                    f"train.precision=float32, may help). First utterance of the batch: {batch.utt_id[0]}"
                )
            mean.add(loss, float(self._class_weights[labels].sum()))
            advance(len(labels))
        return mean.value

    def _step(self, features: torch.Tensor, labels: torch.Tensor) -> float:
        """One update of the weights; its loss."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, self._precision, enabled=self._precision is not torch.float32):
            logits = self._model(features).logits
        loss = self._loss(logits.float(), labels)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return loss.item()

    def _judge(self, advance: Callable[[int], None]) -> tuple[float, float]:
        """Loss and EER on dev."""
        mean = _WeightedMean()
        scores, labels = [], []
        batch_size = self._config.train.batch_size
        for batch in run_network(self._model, self._dev, batch_size, self._device, advance):
            mean.add(float(self._loss(batch.logits, batch.labels)), float(self._class_weights[batch.labels].sum()))
            scores.append(log_odds(batch.logits).cpu())
            labels.append(batch.labels.cpu())
        score, bonafide = torch.cat(scores).numpy(), torch.cat(labels).numpy() == CLASS_INDEX["bonafide"]
        if not np.isfinite(score).all():
            raise RunError("the network's dev scores are not finite; expected numbers (a lower optimizer.lr may help)")
        return mean.value, equal_error_rate(score[bonafide], score[~bonafide]).rate

    def _keep(self, line: Epoch) -> None:
        """Write the epoch down. Killed before `last.ckpt`, a resumed run repeats this very epoch; killed between it
        and the best weights, a resumed run finds these in it."""
        _append_line(self._run / METRICS, line)
        about = self._about(line)
        is_best = self.best is None or self._rank(line) < self._rank(self.best)
        self.best = line if is_best else self.best
        assert self.best is not None
        state = {
            "epoch": line.epoch,
            "best": list(self.best),
            "about": asdict(about),
            "conditions": self._conditions(),
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }
        save_last(self._run, state)
        if is_best:
            save_best(self._run, self._model, about)

    def _rank(self, line: Epoch) -> tuple[float, ...]:
        return (line.dev_loss,) if self._config.train.select == "dev_loss" else (line.dev_eer, line.dev_loss)

    def _about(self, line: Epoch) -> About:
        backend, plan = self._config.backend, self._train.plan
        return About(
            format_version=FORMAT_VERSION,
            backend=backend.name,
            settings=dict(backend.settings),
            feature_shape=plan.row_shape,
            identity=dict(plan.identity.settings),
            class_index=dict(CLASS_INDEX),
            epoch=line.epoch,
            dev_eer=line.dev_eer,
            dev_loss=line.dev_loss,
            versions=versions(),
        )

    def _conditions(self) -> dict[str, str]:
        """What a resumed run must share with its beginning, beside the config: caches, and `auto` precision."""
        caches = {
            name: f"{data.plan.identity.digest} {data.plan.trial_list_sha256} {len(data)}"
            for name, data in (("train cache", self._train), ("dev cache", self._dev))
        }
        return caches | {"precision": str(self._precision).removeprefix("torch.")}

    def restore(self) -> None:
        """Go on after the last finished epoch of the run folder, if there is one."""
        state = load_last(self._run)
        if state is not None:
            differing = [name for name, value in self._conditions().items() if state["conditions"].get(name) != value]
            if differing:
                raise RunError(f"{self._run}: begun with another {', '.join(differing)}; --resume expects the same")
            self._model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
            self.next_epoch = state["epoch"] + 1
            self.best = Epoch(*state["best"])
            if self.best.epoch == state["epoch"]:  # it may have been killed before it wrote these
                save_best(self._run, self._model, About.from_json(state["about"], self._run))
        _keep_lines(self._run / METRICS, self.next_epoch)


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


def _optimizer(config: OptimizerConfig, parameters: Iterator[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, config.lr, config.betas, config.eps, config.weight_decay)


def _lr_factor(schedule: ScheduleConfig, epoch: int) -> float:
    """Share of the first learning rate that epoch (from 0) gets."""
    return 0.5 ** (epoch // schedule.epochs) if schedule.name == "halve_every" else 1.0


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


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
