"""EFFECTS: the effect of each name, and the reading of effects as the command line spells them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from spoofcache.common.plugins import EXPECTED, PluginError, is_plugin, with_origin
from spoofcache.features.augment.band import BandPass, HighPass, LowPass, Resample
from spoofcache.features.augment.base import Effect, EffectError, Range, WholeRange, utterance_seed
from spoofcache.features.augment.codecs import Codec
from spoofcache.features.augment.noise import Background, Noise
from spoofcache.features.augment.pipeline import Pipeline, Telephone
from spoofcache.features.augment.rawboost import RawBoost
from spoofcache.features.augment.recordings import Recordings
from spoofcache.features.augment.reverb import Reverb, Room
from spoofcache.features.augment.simple import Gain, Pitch, Shift

__all__ = ["EFFECTS", "Effect", "EffectError", "parse_effect", "utterance_seed"]

EFFECTS: Mapping[str, type[Effect]] = {
    effect.name: effect
    for effect in (
        RawBoost,
        Codec,
        Telephone,
        Noise,
        Background,
        Reverb,
        Room,
        LowPass,
        HighPass,
        BandPass,
        Resample,
        Gain,
        Pitch,
        Shift,
        Pipeline,
    )
}

READERS: Mapping[type, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "a word"),
    Range: (Range.parse, "a number or a range such as 5..20, the lower end first"),
    WholeRange: (WholeRange.parse, "a whole number or a range such as 3..8, the lower end first"),
    Recordings: (lambda text: Recordings(Path(text)), "a folder"),
}


def parse_effect(spelling: str) -> Effect:
    """`name[:value][,key=value…]`, such as `rawboost:5`, `noise:pink,snr=5..20` or `pipeline:intensity=1.8`.

    The key of the first value may be omitted. `package.module:Name`, followed by settings in the same form, is an
    effect of the user's own.

    Raises:
        EffectError: a name, a key or a value is unknown, or a class of the user's own cannot be imported. The message
            says what was expected.
    """
    kind, rest = _kind_of(spelling)
    known = {own.name: own for own in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    types = get_type_hints(kind)
    given: dict[str, Any] = {}
    for place, part in enumerate(rest.split(",") if rest else []):
        key, equals, text = part.partition("=")
        if place == 0 and not equals:
            key, text = next(iter(known), ""), part
        if key not in known or key in given or not text:
            raise EffectError(f"effect {spelling}: {part!r}; expected {_usage(known)}")
        given[key] = _read(spelling, key, types[key], text)
    missing = [key for key, own in known.items() if own.default is MISSING and key not in given]
    if missing:
        raise EffectError(f"effect {spelling}: no {missing[0]}; expected {_usage(known)}")
    return kind(**given)


def _kind_of(spelling: str) -> tuple[type[Effect], str]:
    """The class of an effect, and the part of its spelling with the settings."""
    name, _, rest = spelling.partition(":")
    if name in EFFECTS:
        return EFFECTS[name], rest
    own = re.match(r"[\w.]+:\w+(?=[:,]|$)", spelling)
    expected = f"expected one of {', '.join(EFFECTS)}, or {EXPECTED}"
    if not (own and is_plugin(own[0])):
        raise EffectError(f"effect {name!r}; {expected}")
    try:
        kind: type[Effect] = with_origin(own[0], Effect)
    except PluginError as error:  # perhaps not meant as a plug-in, but a misspelled name
        raise EffectError(f"effect {error if '.' in name else f'{name!r}; {expected} ({error})'}") from error
    if not (is_dataclass(kind) and isinstance(getattr(kind, "name", None), str)):
        raise EffectError(f"effect {own[0]}: no dataclass with a `name`; expected one, whose fields are its settings")
    return kind, spelling[own.end() + 1 :]


def _read(spelling: str, key: str, hint: Any, text: str) -> Any:
    kind = next((kind for kind in (hint, *get_args(hint)) if kind in READERS), None)
    if kind is None:
        readable = ", ".join(kind.__name__ for kind in READERS)
        raise EffectError(f"effect {spelling}: {key} is of type {hint}; expected a field of one of {readable}")
    read, expected = READERS[kind]
    try:
        return read(text)
    except ValueError as error:
        reason = str(error) if kind is Recordings else f"expected {expected}"
        raise EffectError(f"effect {spelling}: {key}={text}; {reason}") from error


def _usage(known: Mapping[str, Field[Any]]) -> str:
    return ", ".join(f"{key}={_allowed(own)}" for key, own in known.items()) or "no settings"


def _allowed(own: Field[Any]) -> str:
    if "choices" in own.metadata:
        return "|".join(own.metadata["choices"])
    return str(own.metadata.get("within", own.name.upper()))
