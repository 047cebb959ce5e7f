"""FRONTENDS: registry name → front-end. Its module, and torch with it, is imported when one is made."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module

from spoofcache.common.plugins import EXPECTED, PluginError, is_plugin, with_origin
from spoofcache.features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from spoofcache.features.frontends.hub import HUB_NAMES, is_downloaded

Maker = Callable[[FrontEndOptions], FrontEnd]


def _lazily(module: str, class_name: str, *arguments: str) -> Maker:
    """A function that imports the module and makes its class with these arguments and the options."""

    def make(options: FrontEndOptions) -> FrontEnd:
        made: FrontEnd = getattr(import_module(f"{__name__}.{module}"), class_name)(*arguments, options)
        return made

    return make


FRONTENDS: Mapping[str, Maker] = {
    "xls-r-300m": _lazily("ssl", "HiddenStates", "xls-r-300m"),
    "xls-r-1b": _lazily("ssl", "HiddenStates", "xls-r-1b"),
    "xls-r-2b": _lazily("ssl", "HiddenStates", "xls-r-2b"),
    "wav2vec2-base": _lazily("ssl", "HiddenStates", "wav2vec2-base"),
    "wav2vec2-large": _lazily("ssl", "HiddenStates", "wav2vec2-large"),
    "hubert-base": _lazily("ssl", "HiddenStates", "hubert-base"),
    "hubert-large": _lazily("ssl", "HiddenStates", "hubert-large"),
    "wavlm-base": _lazily("ssl", "HiddenStates", "wavlm-base"),
    "wavlm-large": _lazily("ssl", "HiddenStates", "wavlm-large"),
    "mms-300m": _lazily("ssl", "HiddenStates", "mms-300m"),
    "mms-1b": _lazily("ssl", "HiddenStates", "mms-1b"),
    "w2v-bert-2.0": _lazily("ssl", "HiddenStates", "w2v-bert-2.0"),
    "whisper-tiny": _lazily("ssl", "HiddenStates", "whisper-tiny"),
    "whisper-base": _lazily("ssl", "HiddenStates", "whisper-base"),
    "whisper-small": _lazily("ssl", "HiddenStates", "whisper-small"),
    "whisper-medium": _lazily("ssl", "HiddenStates", "whisper-medium"),
    "whisper-large": _lazily("ssl", "HiddenStates", "whisper-large"),
    "whisper-large-v2": _lazily("ssl", "HiddenStates", "whisper-large-v2"),
    "whisper-large-v3": _lazily("ssl", "HiddenStates", "whisper-large-v3"),
    "whisper-large-v3-turbo": _lazily("ssl", "HiddenStates", "whisper-large-v3-turbo"),
    "lfcc": _lazily("lfcc", "LFCC", "lfcc"),
    "lfcc-fullband": _lazily("lfcc", "LFCC", "lfcc-fullband"),
    "lfcc-air": _lazily("lfcc", "LFCC", "lfcc-air"),
    "lfcc-pcdarts": _lazily("lfcc", "LFCC", "lfcc-pcdarts"),
    "mfcc": _lazily("mfcc", "MFCC"),
    "logmel": _lazily("logmel", "LogMel"),
    "raw": _lazily("raw", "Raw"),
}

SHORT_NAMES: Mapping[str, str] = {hub_name: name for name, hub_name in HUB_NAMES.items()}
"""Repository → registry name, so that a checkpoint has the same identity under either name."""


def make_frontend(name: str, options: FrontEndOptions) -> FrontEnd:
    """The front-end of a registry name, of a plug-in `package.module:Name`, or of a checkpoint `owner/name` of the hub.

    A checkpoint of the hub must belong to a supported family; the class of a plug-in is called with `options`, but
    without `options.pool`, which is applied here.

    Raises:
        FrontEndError: the name is unknown, the plug-in cannot be loaded, or the front-end does not take the options.
    """
    return _pooled(_make, name, options)


def _pooled(make: Callable[[str, FrontEndOptions], FrontEnd], name: str, options: FrontEndOptions) -> FrontEnd:
    """The front-end that `make` makes, behind the statistics over time that the options ask for."""
    frontend = make(name, replace(options, pool=None))
    if options.pool is None:
        return frontend
    from spoofcache.features.frontends.pooled import Pooled  # imported late: it imports torch

    return Pooled(frontend, options.pool)


def _make(name: str, options: FrontEndOptions) -> FrontEnd:
    if name in FRONTENDS:
        return FRONTENDS[name](options)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        return _lazily("ssl", "HiddenStates", SHORT_NAMES.get(name, name))(options)
    if is_plugin(name):
        try:
            made: FrontEnd = with_origin(name, FrontEnd)(options)
        except PluginError as error:
            raise FrontEndError(f"front-end {error}") from error
        return made
    raise FrontEndError(
        f"front-end {name!r}; expected one of {', '.join(FRONTENDS)}, a hub's owner/name, or {EXPECTED}"
    )


def make_for_estimate(name: str, options: FrontEndOptions) -> FrontEnd:
    """The front-end of that name for an estimate of size and time, for which nothing is downloaded.

    Where the checkpoint of a published speech model is not on this machine, a `stand_in.StandIn` takes its place.

    Raises:
        FrontEndError: as for `make_frontend`.
    """
    return _pooled(_make_for_estimate, name, options)


def _make_for_estimate(name: str, options: FrontEndOptions) -> FrontEnd:
    name = SHORT_NAMES.get(name, name)
    if name in HUB_NAMES and not options.weights and not is_downloaded(HUB_NAMES[name]):
        return _lazily("stand_in", "StandIn", name)(options)
    return _make(name, options)
