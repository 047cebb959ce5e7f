"""An experiment in TOML. Every key has a default or is asked for; an unknown one is an error."""

import dataclasses
import difflib
import inspect
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from spoofcache.common.errors import InputError
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES

Table = TypeVar("Table")


class ConfigError(InputError):
    """A configuration that says something unknown; the message names file, key, value and what was expected."""


def _number(default: float | tuple[float, ...], **limit: float) -> Any:
    """A field with a default and limits, `at_least`, `above` or `below`, that hold for each of its numbers."""
    return field(default=default, metadata=limit)


@dataclass(frozen=True)
class BackendConfig:
    """`name` of models.BACKENDS; `settings` are its constructor's."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassWeights:
    """Weights of the loss, by name: copied by position from a system with bona fide = 0 they would invert."""

    bonafide: float = _number(1.0, above=0)
    spoof: float = _number(1.0, above=0)


@dataclass(frozen=True)
class LossConfig:
    """`name` of models.losses.LOSSES; `settings` are its own."""

    name: str = "cross_entropy"
    class_weights: ClassWeights = field(default_factory=ClassWeights)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizerConfig:
    """`name` of engine.optim.OPTIMIZERS, as torch has them; `weight_decay` is an L2 term except for `adamw`.

    `betas` and `eps` are the Adams', `momentum` and `nesterov` are SGD's. Norms of gradients above `clip_norm` are
    cut to it (0: never).
    """

    name: Literal["adam", "adamw", "nadam", "sgd"] = "adam"
    lr: float = _number(1e-4, above=0)
    betas: tuple[float, float] = _number((0.9, 0.999), at_least=0, below=1)
    eps: float = _number(1e-8, above=0)
    weight_decay: float = _number(0.0, at_least=0)
    momentum: float = _number(0.9, at_least=0, below=1)
    nesterov: bool = False
    clip_norm: float = _number(0.0, at_least=0)


@dataclass(frozen=True)
class ScheduleConfig:
    """`name` of engine.optim.SCHEDULES.

    `epochs` is how many `halve_every` leaves a rate for, how many `cosine_per_epoch` takes to its end, and the length
    of the first cycle of `sgdr`, whose cycles grow by `restart_factor`. `multi_step` multiplies by `gamma` at every
    epoch of `milestones`. The cosines and `sgdr` end at `lr_min`, which no other schedule has. The first
    `warmup_steps` updates rise from 0 in a straight line.
    """

    name: Literal["constant", "halve_every", "multi_step", "cosine_per_step", "cosine_per_epoch", "sgdr"] = "constant"
    epochs: int = _number(10, at_least=1)
    milestones: tuple[int, ...] = _number((), at_least=1)
    gamma: float = _number(0.1, above=0, below=1)
    lr_min: float = _number(0.0, at_least=0)
    restart_factor: int = _number(1, at_least=1)
    warmup_steps: int = _number(0, at_least=0)


@dataclass(frozen=True)
class GrowthConfig:
    """Augmentation that grows as the network gets good, as in seed 001 (SPECS.md §4.2); 0 as `eer_threshold`: never.

    Once the lowest dev EER is below the threshold, a fraction, the probability that an utterance is drawn in an
    augmented view goes over so many `epochs` in a straight line from the first to the last of `probability`, and the
    recipe that the view is of from the first to the last of `train.augment`. It lags by an epoch, as the loss
    `cross_entropy_to_focal` does.
    """

    eer_threshold: float = _number(0.0, at_least=0, at_most=1)
    epochs: int = _number(10, at_least=1)
    probability: tuple[float, float] = _number((0.5, 0.9), at_least=0, at_most=1)


@dataclass(frozen=True)
class TrainConfig:
    """`select` says which dev figure picks the best epoch (equal EERs: the lower loss).

    `batch_size` is what an update sees; `micro_batch` of them go through the network at a time (0: all), for papers'
    batches on small machines: the same gradient, batch norms apart. `balanced` draws both classes equally often
    (with `corpus_weights`, within each corpus that has both).
    Training ends when `patience` epochs in a row are no better (0: never). `average` adds a network to the run:
    `swa` is the mean of the weights after every epoch from `average_from` on (0 is the first), `ema` their moving
    average with `ema_decay` per update, `best` the mean of the `average_count` best epochs; batch norms are estimated
    anew. There is none where `patience` ends the training before `average_from`. `precision` is that of the forward
    pass; `auto` is 16 bit where a GPU has it, float32 otherwise. `compile` says whether it is compiled; `auto` is
    where a trial in the first epoch shows that it pays. `features` is the Place that they are kept at; `auto` is the
    fastest with room. Several processes share every batch; `batch_norm` says whose utterances batch norms take their
    statistics of, all processes' (as one process would) or each its own.

    `views` are those of each utterance that an epoch sees: `random` is one of all that are cached, `all` is each of
    them, a list is one of those numbers (0 is the clean one). `augment` names whose views, as spelled for
    preprocess.py, where several recipes are cached. With `corpus_weights`, in the order of --train, each draw picks a
    corpus by its weight; without, every utterance of every corpus comes once.
    """

    epochs: int = _number(100, at_least=1)
    batch_size: int = _number(64, at_least=1)
    micro_batch: int = _number(0, at_least=0)
    balanced: bool = False
    patience: int = _number(0, at_least=0)
    average: Literal["none", "swa", "ema", "best"] = "none"
    average_from: int = _number(0, at_least=0)
    average_count: int = _number(5, at_least=1)
    ema_decay: float = _number(0.999, above=0, below=1)
    seed: int = _number(0, at_least=0, below=2**63)
    select: Literal["dev_eer", "dev_loss"] = "dev_eer"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    features: Literal["auto", "device", "pinned", "mapped"] = "auto"
    batch_norm: Literal["global", "per_process"] = "global"
    views: Literal["random", "all"] | tuple[int, ...] = _number((0,), at_least=0)
    augment: tuple[str, ...] = ()
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    corpus_weights: tuple[float, ...] = _number((), above=0)


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment. `features` says what the cache's identity must be (any of its fields), or nothing."""

    backend: BackendConfig
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    features: Mapping[str, Any] = field(default_factory=dict)

    def to_toml(self) -> str:
        """The whole experiment, defaults included."""
        import tomli_w  # here, not above: whoever writes none does without

        return tomli_w.dumps(dataclasses.asdict(self))


def load_config(path: Path, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment, with `section.key=value` overrides.

    Raises:
        ConfigError: not TOML, an unknown key (the nearest known one is named), a value of the wrong type.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    for override in overrides:
        _set(tables, override)
    config = _parse(ExperimentConfig, tables, str(path), "")
    _check_registry(config.backend.name, BACKENDS, path, "backend.name")
    _check_registry(config.loss.name, LOSSES, path, "loss.name")
    _check_average(config.train, path)
    _check_views(config.train, path)
    _check_rates(config, path)
    # a back-end is made from the feature shape and its settings, a loss from class weights, embedding size and its own
    for made, n_given, settings, prefix in (
        (BACKENDS[config.backend.name], 1, config.backend.settings, "backend.settings."),
        (LOSSES[config.loss.name], 2, config.loss.settings, "loss.settings."),
    ):
        known = list(inspect.signature(made).parameters)[n_given:]
        for key in settings:
            _require_known(key, known, str(path), prefix)
    return config


def _set(tables: dict[str, Any], override: str) -> None:
    """Apply `section.key=value`; the value is TOML, or a plain word."""
    name, equals, text = override.partition("=")
    *sections, key = name.split(".")
    if not (equals and sections and all(sections) and key):
        raise ConfigError(f"--set {override!r}; expected section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for section in sections:
        tables = tables.setdefault(section, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"--set {override!r}: {section} is not a section")
    tables[key] = value


def _parse(kind: type[Table], values: Any, source: str, prefix: str) -> Table:
    """A table of the file as the dataclass `kind`."""
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: {prefix.rstrip('.')} is {values!r}; expected a table")
    types = get_type_hints(kind)
    for key in values:
        _require_known(key, list(types), source, prefix)
    for spec in dataclasses.fields(kind):  # type: ignore[arg-type]
        no_default = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if no_default and spec.name not in values:
            raise ConfigError(f"{source}: {prefix}{spec.name} is missing")
    parsed = {key: _value(types[key], value, source, prefix + key) for key, value in values.items()}
    for spec in dataclasses.fields(kind):  # type: ignore[arg-type]
        if spec.name in parsed:
            _check_limit(spec.metadata, parsed[spec.name], source, prefix + spec.name)
    return kind(**parsed)


def _check_limit(limit: Mapping[str, Any], value: Any, source: str, name: str) -> None:
    for number in value if isinstance(value, tuple) else () if isinstance(value, str) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise ConfigError(f"{source}: {name} is {number}; expected a finite number")
        if "at_least" in limit and not number >= limit["at_least"]:
            raise ConfigError(f"{source}: {name} is {number}; expected at least {limit['at_least']}")
        if "at_most" in limit and not number <= limit["at_most"]:
            raise ConfigError(f"{source}: {name} is {number}; expected at most {limit['at_most']}")
        if "above" in limit and not number > limit["above"]:
            raise ConfigError(f"{source}: {name} is {number}; expected a number above {limit['above']}")
        if "below" in limit and not number < limit["below"]:
            raise ConfigError(f"{source}: {name} is {number}; expected a number below {limit['below']}")


def _require_known(key: str, known: Sequence[str], source: str, prefix: str) -> None:
    if key not in known:
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        hint = f"the nearest known key is {prefix}{nearest[0]}" if nearest else "no key is known there"
        raise ConfigError(f"{source}: unknown key {prefix}{key}; {hint}")


def _value(kind: Any, value: Any, source: str, name: str) -> Any:
    """`value` checked against the type of its field."""
    if dataclasses.is_dataclass(kind):
        return _parse(kind, value, source, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is Union:
        words, numbers = get_args(kind)
        if value not in get_args(words) and not isinstance(value, list):
            raise ConfigError(f"{source}: {name} is {value!r}; expected {', '.join(get_args(words))} or a list")
        kind = numbers if isinstance(value, list) else words
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{source}: {name} is {value!r}; expected one of {', '.join(get_args(kind))}")
        return value
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        any_number = others == [...]
        if not isinstance(value, list) or not (any_number or len(value) == 1 + len(others)):
            raise ConfigError(f"{source}: {name} is {value!r}; expected {'a list' if any_number else 'two numbers'}")
        return tuple(_value(first, each, source, name) for each in value)
    if kind is float and type(value) is int:
        return float(value)
    wanted = dict if get_origin(kind) is not None else kind
    if type(value) is not wanted:
        raise ConfigError(f"{source}: {name} is {value!r}; expected {_plain_name(wanted)}")
    return value


def _plain_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", dict: "a table"}
    return names.get(kind, kind.__name__)


def _check_rates(config: ExperimentConfig, path: Path) -> None:
    schedule, start = config.schedule, config.optimizer.lr
    if schedule.lr_min and not (schedule.name.startswith("cosine") or schedule.name == "sgdr"):
        raise ConfigError(f"{path}: schedule.lr_min is {schedule.lr_min}; expected 0, since {schedule.name} has no end")
    if schedule.lr_min >= start:
        raise ConfigError(f"{path}: schedule.lr_min is {schedule.lr_min}; expected less than optimizer.lr, {start}")
    if config.optimizer.nesterov and not config.optimizer.momentum:
        raise ConfigError(f"{path}: optimizer.nesterov is true; expected a momentum above 0 with it")


def _check_average(train: TrainConfig, path: Path) -> None:
    if train.average == "swa" and train.average_from >= train.epochs:
        first, last = train.average_from, train.epochs - 1
        raise ConfigError(f"{path}: train.average_from is {first}; expected at most {last}, the last epoch")


def _check_views(train: TrainConfig, path: Path) -> None:
    if not train.views:
        raise ConfigError(
            f"{path}: train.views is empty; expected random, all, or numbers of views, 0 being the clean one"
        )
    if train.augment and not (isinstance(train.views, str) or any(train.views)):
        raise ConfigError(
            f"{path}: train.augment is {list(train.augment)} with train.views {list(train.views)}, no view of it; "
            "expected random, all, or a list with numbers above 0"
        )
    some_drawn = train.views == "random" or (train.views != "all" and 0 in train.views and len(set(train.views)) > 1)
    if train.growth.eer_threshold and not some_drawn:
        raise ConfigError(
            f"{path}: train.growth.eer_threshold is {train.growth.eer_threshold} with train.views {train.views}; "
            "expected random, or a list of 0 and others, to draw from"
        )


def _check_registry(name: str, registry: Mapping[str, Callable[..., Any]], path: Path, key: str) -> None:
    if name not in registry:
        raise ConfigError(f"{path}: {key} is {name!r}; expected one of {', '.join(registry)}")
