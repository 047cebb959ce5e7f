"""The waveform itself, for back-ends that learn their own filters."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions


class Raw(FrontEnd):
    """The waveform [n], stored as float32 or, in half the space, as int16, which is exact for 16-bit audio at 16 kHz.

    It is never stored as float16, whose 11 bits would add noise 66 dB below full scale.
    """

    slug = "raw"
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "int16")

    def __init__(self, options: FrontEndOptions) -> None:
        options.refuse_network_options("raw")

    def settings(self) -> Mapping[str, Any]:
        return {"name": "raw"}

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        return waveforms
