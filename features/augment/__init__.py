"""EFFECTS: name → effect, and how the command line spells one."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

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

    The first value may stand without its key.

    Raises:
        EffectError: unknown name, key or value; says what there is.
    """
    name, _, rest = spelling.partition(":")
    if name not in EFFECTS:
        raise EffectError(f"effect {name!r}; expected one of {', '.join(EFFECTS)}")
    known = {own.name: own for own in fields(EFFECTS[name])}  # type: ignore[arg-type]  # all are dataclasses
    given: dict[str, Any] = {}
    for place, part in enumerate(rest.split(",") if rest else []):
        key, equals, text = part.partition("=")
        if place == 0 and not equals:
            key, text = next(iter(known), ""), part
        if key not in known or key in given or not text:
            raise EffectError(f"effect {spelling}: {part!r}; expected {_usage(known)}")
        given[key] = _read(spelling, known[key], text)
    missing = [key for key, own in known.items() if own.default is MISSING and key not in given]
    if missing:
        raise EffectError(f"effect {spelling}: no {missing[0]}; expected {_usage(known)}")
    return EFFECTS[name](**given)


def _read(spelling: str, own: Field[Any], text: str) -> Any:
    kind = next(kind for kind in (own.type, *get_args(own.type)) if kind in READERS)
    read, expected = READERS[kind]
    try:
        return read(text)
    except ValueError as error:
        reason = str(error) if kind is Recordings else f"expected {expected}"
        raise EffectError(f"effect {spelling}: {own.name}={text}; {reason}") from error


def _usage(known: Mapping[str, Field[Any]]) -> str:
    return ", ".join(f"{key}={_allowed(own)}" for key, own in known.items()) or "no settings"


def _allowed(own: Field[Any]) -> str:
    if "choices" in own.metadata:
        return "|".join(own.metadata["choices"])
    return str(own.metadata.get("within", own.name.upper()))
