"""Reads an experiment from a TOML file and `--set section.key=value` overrides. An unknown key is an error."""

import dataclasses
import difflib
import inspect
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from spoofcache.common.plugins import EXPECTED, PluginError, find_part
from spoofcache.common.toml import DEEPEST, TomlError, parse_toml, read_toml
from spoofcache.engine.config import ExperimentConfig, without_none
from spoofcache.engine.config_checks import check_average, check_encoder, check_rates, check_views
from spoofcache.engine.config_source import ConfigError, Source, shown
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES

Table = TypeVar("Table")

ALIASES: Mapping[str, Sequence[str]] = {
    "backend": ("model", "network", "back_end", "classifier"),
    "loss": ("criterion", "objective"),
    "optimizer": ("optim", "optimiser", "solver"),
    "schedule": ("scheduler", "lr_schedule", "lr_scheduler"),
    "train": ("training", "trainer"),
    "name": ("type", "kind"),
    "settings": ("args", "kwargs", "params", "options", "parameters"),
    "class_weights": ("class_weight", "weights", "weight"),
    "bonafide": ("bona_fide", "genuine", "real", "human"),
    "spoof": ("spoofed", "fake"),
    "lr": ("learning_rate", "learningrate", "base_lr", "initial_lr", "init_lr", "max_lr"),
    "lr_min": ("min_lr", "eta_min", "end_lr", "final_lr"),
    "betas": ("beta", "beta1", "beta2"),
    "eps": ("epsilon",),
    "weight_decay": ("wd", "l2", "l2_penalty", "decay"),
    "clip_norm": ("grad_clip", "gradient_clip", "clip_grad_norm", "max_grad_norm", "max_norm", "clip"),
    "warmup_steps": ("warmup", "num_warmup_steps", "warm_up", "warmup_iters"),
    "epochs": ("n_epochs", "num_epochs", "max_epochs", "nb_epochs", "t_max", "step_size"),
    "batch_size": ("batchsize", "bs", "batch", "train_batch_size"),
    "micro_batch": ("micro_batch_size", "microbatch", "minibatch"),
    "patience": ("early_stopping", "early_stop", "early_stopping_patience"),
    "seed": ("random_seed", "rng_seed", "manual_seed"),
    "precision": ("amp", "mixed_precision", "dtype", "fp16"),
    "average": ("averaging", "swa", "ema"),
    "select": ("monitor", "metric", "selection"),
    "augment": ("augmentation", "augmentations"),
}
"""Known key → what other training tools call the same thing."""


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment from a TOML file, and apply `section.key=value` overrides to it.

    Raises:
        ConfigError: the file is not TOML, a key is unknown, or a value has the wrong type or is out of range. The
            message blames the file, or the override that set the key.
    """
    path = Path(path)
    try:
        tables = read_toml(path)
    except TomlError as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    source = Source(path)
    for override in overrides:
        _apply_override(tables, override, source)
    config = _parse(ExperimentConfig, tables, source, "")
    backend = _find_part(config.backend.name, BACKENDS, source, "backend.name")
    loss = _find_part(config.loss.name, LOSSES, source, "loss.name")
    # a back-end is built from the feature shape and its settings, a loss from class weights, embedding size and its own
    _check_settings(backend, 1, config.backend.settings, source, "backend.settings.")
    _check_settings(loss, 2, config.loss.settings, source, "loss.settings.")
    check_average(config.train, source)
    check_views(config.train, source)
    check_rates(config, source)
    check_encoder(config, source)
    return config


def _apply_override(tables: dict[str, Any], override: str, source: Source) -> None:
    """Apply `section.key=value`; the value is TOML, or else text without quotes."""
    name, equals, text = override.partition("=")
    *sections, key = (part.strip() for part in name.split("."))
    name = ".".join((*sections, key))
    if not (equals and sections and all(sections) and key and len(sections) < DEEPEST):
        raise ConfigError(f"--set {shown(repr(override))}; expected section.key=value")
    value = _override_value(override, text.strip())
    for depth, section in enumerate(sections, 1):
        if section not in tables:
            source.overrides[".".join(sections[:depth])] = override
        tables = tables.setdefault(section, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"--set {shown(repr(override))}: {section} is not a section")
    tables[key] = value
    source.overrides[name] = override


def _override_value(override: str, text: str) -> Any:
    """The value of an override: TOML, or else the text itself.

    Raises:
        ConfigError: the text sets other keys in further lines, or is TOML that no program could use.
    """
    try:
        parsed = parse_toml(f"value = {text}")
    except TomlError as error:
        if "\n" in text or not isinstance(error.__cause__, tomllib.TOMLDecodeError):
            raise ConfigError(f"--set {shown(repr(override))}: {shown(str(error))}; expected one value") from error
        return text
    if list(parsed) != ["value"]:
        raise ConfigError(
            f"--set {shown(repr(override))} sets several keys; expected one, and --set again for each other"
        )
    return parsed["value"]


def _parse(kind: type[Table], values: Any, source: Source, prefix: str) -> Table:
    """A table of the file as the dataclass `kind`."""
    if not isinstance(values, dict):
        name = prefix.rstrip(".")
        raise source.error(f"{name} is {values!r}; expected a table", name)
    types = {name: without_none(of_key) for name, of_key in get_type_hints(kind).items()}
    for key in values:
        _require_known(key, list(types), source, prefix)
    specs = dataclasses.fields(kind)  # type: ignore[arg-type]
    for spec in specs:
        no_default = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if no_default and spec.name not in values:
            raise ConfigError(f"{source.path}: {prefix}{spec.name} is missing")
    parsed = {key: _value(types[key], value, source, prefix + key) for key, value in values.items()}
    for spec in specs:
        if spec.name in parsed:
            _check_limits(spec.metadata, parsed[spec.name], source, prefix + spec.name)
    return kind(**parsed)


def _check_limits(limits: Mapping[str, Any], value: Any, source: Source, name: str) -> None:
    """ConfigError unless the number, or each number of a tuple, is finite and within its limits."""
    for number in value if isinstance(value, tuple) else () if isinstance(value, str) else (value,):
        expected = ""
        if isinstance(number, float) and not math.isfinite(number):
            expected = "a finite number"
        elif "at_least" in limits and not number >= limits["at_least"]:
            expected = f"at least {limits['at_least']}"
        elif "at_most" in limits and not number <= limits["at_most"]:
            expected = f"at most {limits['at_most']}"
        elif "above" in limits and not number > limits["above"]:
            expected = f"a number above {limits['above']}"
        elif "below" in limits and not number < limits["below"]:
            expected = f"a number below {limits['below']}"
        if expected:
            raise source.error(f"{name} is {shown(repr(number))}; expected {expected}", name)


def _require_known(key: str, known: Sequence[str], source: Source, prefix: str) -> None:
    if key not in known:
        raise source.error(f"unknown key {shown(prefix + key)}; {_suggestion(key, known, prefix)}", prefix + key)


def _suggestion(key: str, known: Sequence[str], prefix: str) -> str:
    """What may have been meant: an alias, a misspelt key, a key of another section, or else the list of known keys."""
    if not known:
        return "no key is known there"
    plain = key.lower().replace("-", "_")
    meant = next((name for name, others in ALIASES.items() if plain in others), plain)
    if meant in known:
        return f"expected {prefix}{meant}"
    nearest = difflib.get_close_matches(plain, known, n=1)
    if nearest:
        return f"the nearest known key is {prefix}{nearest[0]}"
    elsewhere = [name for name in _all_keys(ExperimentConfig, "") if name.rpartition(".")[2] == meant]
    if elsewhere:
        return f"expected {' or '.join(elsewhere)}"
    return f"expected one of {', '.join(prefix + name for name in known)}"


def _all_keys(kind: type, prefix: str) -> list[str]:
    """Every key of a dataclass and of its tables, by dotted name."""
    names: list[str] = []
    for name, of_key in get_type_hints(kind).items():
        inner = without_none(of_key)
        names += [prefix + name, *(_all_keys(inner, f"{prefix}{name}.") if dataclasses.is_dataclass(inner) else ())]  # type: ignore[arg-type]
    return names


def _value(kind: Any, value: Any, source: Source, name: str) -> Any:
    """`value` as the type of its field."""
    if dataclasses.is_dataclass(kind):
        return _parse(kind, value, source, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is Union:
        words, numbers = get_args(kind)
        if numbers is int:
            if value not in get_args(words) and type(value) is not int:
                expected = f"{', '.join(get_args(words))} or a whole number"
                raise source.error(f"{name} is {shown(repr(value))}; expected {expected}", name)
            return value
        if value not in get_args(words) and not isinstance(value, list):
            raise source.error(f"{name} is {shown(repr(value))}; expected {', '.join(get_args(words))} or a list", name)
        kind = numbers if isinstance(value, list) else words
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise source.error(f"{name} is {shown(repr(value))}; expected one of {', '.join(get_args(kind))}", name)
        return value
    if get_origin(kind) is tuple:
        return _tuple(kind, value, source, name)
    if kind is float and type(value) is int:
        return float(value)
    wanted = dict if get_origin(kind) is not None else kind
    if type(value) is not wanted:
        raise source.error(f"{name} is {shown(repr(value))}; expected {_plain_name(wanted)}", name)
    return value


def _tuple(kind: Any, value: Any, source: Source, name: str) -> tuple[Any, ...]:
    """A list of the file as `tuple[X, ...]`, or as the pair `tuple[X, X]`."""
    first, *others = get_args(kind)
    any_length = others == [...]
    if not isinstance(value, list) or not (any_length or len(value) == 1 + len(others)):
        raise source.error(
            f"{name} is {shown(repr(value))}; expected {'a list' if any_length else 'two numbers'}", name
        )
    return tuple(_value(first, each, source, name) for each in value)


def _plain_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", dict: "a table"}
    return names.get(kind, kind.__name__)


def _find_part(name: str, registry: Mapping[str, Callable[..., Any]], source: Source, key: str) -> Callable[..., Any]:
    """The part of that name in a registry, or `package.module:Name` of the user's own; ConfigError if there is none."""
    try:
        return find_part(name, registry)
    except KeyError:
        raise source.error(f"{key} is {name!r}; expected one of {', '.join(registry)}, or {EXPECTED}", key) from None
    except PluginError as error:
        raise source.error(f"{key} is {error}", key) from error


def _check_settings(
    constructor: Callable[..., Any], n_given: int, settings: Mapping[str, Any], source: Source, prefix: str
) -> None:
    """ConfigError for a setting that the constructor has no parameter for, after those that it is always given."""
    parameters = inspect.signature(constructor).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return  # a plug-in that takes any setting
    known = list(parameters)[n_given:]
    part = f"{prefix.partition('.')[0]}.name"
    for key in settings:
        if key not in known and part in source.overrides and prefix + key not in source.overrides:
            raise source.error(
                f"the settings of {source.path} are for another part: it sets {shown(prefix + key)}, and the settings "
                f"here are {', '.join(known) or 'none'}; expected a configuration with this {part}",
                part,
            )
        _require_known(key, known, source, prefix)
