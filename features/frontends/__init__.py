"""FRONTENDS: registry name → front-end."""

import re
from collections.abc import Callable, Mapping
from functools import partial

from spoofcache.common.plugins import EXPECTED, PluginError, is_plugin, with_origin
from spoofcache.features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from spoofcache.features.frontends.lfcc import LFCC
from spoofcache.features.frontends.logmel import LogMel
from spoofcache.features.frontends.mfcc import MFCC
from spoofcache.features.frontends.raw import Raw
from spoofcache.features.frontends.ssl import HUB_NAMES, HiddenStates

FRONTENDS: Mapping[str, Callable[[FrontEndOptions], FrontEnd]] = {
    "xls-r-300m": partial(HiddenStates, "xls-r-300m"),
    "xls-r-1b": partial(HiddenStates, "xls-r-1b"),
    "xls-r-2b": partial(HiddenStates, "xls-r-2b"),
    "wav2vec2-base": partial(HiddenStates, "wav2vec2-base"),
    "wav2vec2-large": partial(HiddenStates, "wav2vec2-large"),
    "hubert-base": partial(HiddenStates, "hubert-base"),
    "hubert-large": partial(HiddenStates, "hubert-large"),
    "wavlm-base": partial(HiddenStates, "wavlm-base"),
    "wavlm-large": partial(HiddenStates, "wavlm-large"),
    "lfcc": partial(LFCC, "lfcc"),
    "lfcc-fullband": partial(LFCC, "lfcc-fullband"),
    "lfcc-air": partial(LFCC, "lfcc-air"),
    "lfcc-pcdarts": partial(LFCC, "lfcc-pcdarts"),
    "mfcc": MFCC,
    "logmel": LogMel,
    "raw": Raw,
}

SHORT_NAMES: Mapping[str, str] = {hub_name: name for name, hub_name in HUB_NAMES.items()}
"""So that a checkpoint has one identity by either name."""


def make_frontend(name: str, options: FrontEndOptions) -> FrontEnd:
    """The front-end of that registry name, `package.module:Name` of the user's own, or the hub's `owner/name`.

    A checkpoint of the hub must be of a family that we know; a class of the user's own is called with `options`.

    Raises:
        FrontEndError: unknown name, a class of the user's own that cannot be had, or options that are refused.
    """
    if name in FRONTENDS:
        return FRONTENDS[name](options)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        return HiddenStates(SHORT_NAMES.get(name, name), options)
    if is_plugin(name):
        try:
            made: FrontEnd = with_origin(name, FrontEnd)(options)
        except PluginError as error:
            raise FrontEndError(f"front-end {error}") from error
        return made
    raise FrontEndError(
        f"front-end {name!r}; expected one of {', '.join(FRONTENDS)}, a hub's owner/name, or {EXPECTED}"
    )
