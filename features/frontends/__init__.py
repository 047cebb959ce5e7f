"""FRONTENDS: registry name → front-end."""

from collections.abc import Callable, Mapping
from functools import partial

from features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from features.frontends.lfcc import LFCC
from features.frontends.raw import Raw
from features.frontends.ssl import HiddenStates

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
    "raw": Raw,
}


def make_frontend(name: str, options: FrontEndOptions) -> FrontEnd:
    """The front-end of that registry name, or the hub's checkpoint `owner/name` of a family that we know.

    Raises:
        FrontEndError: unknown name, or options that the front-end refuses.
    """
    if name in FRONTENDS:
        return FRONTENDS[name](options)
    if "/" in name:
        return HiddenStates(name, options)
    raise FrontEndError(f"front-end {name!r}; expected one of {', '.join(FRONTENDS)}, or a hub's owner/name")
