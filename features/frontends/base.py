"""What a front-end is: waveforms in, one array per utterance out, and everything that decides its numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from spoofcache.common.errors import InputError


class FrontEndError(InputError):
    """A front-end that cannot be had as asked for; the message says what was expected."""


@dataclass(frozen=True)
class FrontEndOptions:
    """What the user may say of a front-end; each one refuses what it does not know.

    Attributes:
        layers: hidden states by name, `last` or 0…depth; empty is the front-end's own default.
        weights: a local checkpoint folder in the hub's format instead of the hub.
        normalize: `zero-mean-unit-variance`, `none`, or None for what the checkpoint says.
        precision: type that the network computes in: `float32`, `float16` or `bfloat16`; None for the device's own.
        device: where it runs.
        check: hold the first batch to the library's float32 numbers, and tell how far it is from them.
        batch_size: utterances in most calls of `extract`: a network may prepare for that number, which takes its
            time. None where there is little to do.
        tell: hears sentences for the user.
    """

    layers: tuple[str, ...] = ()
    weights: Path | None = None
    normalize: str | None = None
    precision: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    check: bool = False
    batch_size: int | None = None
    tell: Callable[[str], None] = lambda sentence: None

    def refuse_network_options(self, name: str) -> None:
        """FrontEndError when an option was given that only a network has."""
        defaults = FrontEndOptions(device=self.device, batch_size=self.batch_size, tell=self.tell)
        given = [option for option, value in vars(self).items() if value != getattr(defaults, option)]
        if given:
            raise FrontEndError(f"front-end {name} has no {', '.join(given)}; expected none of these options")


class FrontEnd(ABC):
    """Turns waveforms into the tensor that is cached.

    Attributes:
        slug: readable name for the cache's folder.
        dtypes: number types that its output may be stored in, the default first.
    """

    slug: str
    dtypes: ClassVar[tuple[str, ...]] = ("float16", "float32")

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything that changes a number of `extract`, JSON-able: the front-end's part of the identity."""

    @abstractmethod
    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Waveforms [B, n] float32 at 16 kHz → features [B, T, D], [B, L, T, D] or [B, n], float32.

        A row does not depend on the others of its batch.
        """

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        """Shape of one utterance's features, found on a silent one."""
        return tuple(self.extract(torch.zeros(1, n_samples)).shape[1:])
