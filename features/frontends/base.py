"""What a front-end is: waveforms in, one array per utterance out, and everything that decides its numbers.

Neither this file nor the registry imports torch: a command's `--help` names the front-ends and must be quick.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from spoofcache.common.arguments import check_fields
from spoofcache.common.errors import InputError
from spoofcache.features.waveform import NORMALIZATIONS

if TYPE_CHECKING:
    import torch

PRECISION_NAMES = ("float32", "float16", "bfloat16")
"""Number types that a network may compute in."""

POOLS = ("mean", "mean+std")
"""Statistics over time that can be stored instead of frames; see `pooled.Pooled`."""

ZERO_MEAN_UNIT_VARIANCE, NO_NORMALIZATION = NORMALIZATIONS


class FrontEndError(InputError):
    """A front-end is unknown, cannot be loaded or does not take an option; the message says what was expected."""


def _cpu() -> "torch.device":
    import torch

    return torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class FrontEndOptions:
    """What the user may choose about a front-end; each front-end refuses the options that it does not have.

    Attributes:
        layers: hidden states by name, `last` or 0…depth, or `all` alone for 0…depth; empty for the front-end's default.
        weights: folder of a checkpoint in the hub's format, instead of the hub.
        normalize: one of NORMALIZATIONS; None for what the checkpoint says.
        precision: one of PRECISION_NAMES, the type that the network computes in; None for float32 on a CPU and
            float16 on a GPU.
        device: where the front-end runs.
        check: compare the first batch with the numbers of the library's model in float32, and report the difference.
        compiled_batch_size: the batch size that the network is compiled for; smaller batches are filled up to it. With
            None, nothing is compiled.
        n_rows: number of utterances to come. The network is compiled only if the time that they take uncompiled, as
            measured on the first batch, makes that worthwhile. With None, it is compiled in any case.
        pool: one of POOLS, to get statistics over time instead of frames; None for frames. `make_frontend` applies it
            to any front-end with frames, so that the front-ends themselves always receive None.
        tell: called with sentences for the user.
    """

    layers: tuple[str, ...] = ()
    weights: Path | None = None
    normalize: str | None = None
    precision: str | None = None
    device: "torch.device" = field(default_factory=_cpu)
    check: bool = False
    compiled_batch_size: int | None = None
    n_rows: int | None = None
    pool: str | None = None
    tell: Callable[[str], None] = lambda sentence: None

    def __post_init__(self) -> None:
        check_fields(self)

    def refuse_network_options(self, name: str) -> None:
        """Raise FrontEndError if an option was given that only a network has."""
        defaults = FrontEndOptions(
            device=self.device, compiled_batch_size=self.compiled_batch_size, n_rows=self.n_rows, tell=self.tell
        )
        given = [option for option, value in vars(self).items() if value != getattr(defaults, option)]
        if given:
            raise FrontEndError(f"front-end {name} has no {', '.join(given)}; expected none of these options")


class Blocks(NamedTuple):
    """The number of transformer blocks that a front-end runs, and the number that its speech model has."""

    run: int
    depth: int


class FrontEnd(ABC):
    """Turns waveforms into the tensor that is cached.

    Attributes:
        slug: readable name for the cache's folder.
        dtypes: number types that its output may be stored in, the default first.
        weights: folder of the checkpoint, if the user named one.
        blocks: the transformer blocks that it runs; None for a front-end without blocks.
        is_stand_in: whether it has random weights of the size of the right ones, for estimates only.
    """

    slug: str
    dtypes: ClassVar[tuple[str, ...]] = ("float16", "float32")
    weights: Path | None = None
    blocks: Blocks | None = None
    is_stand_in: bool = False

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything that changes a number of `extract`, as JSON types: the front-end's part of the identity."""

    @abstractmethod
    def extract(self, waveforms: "torch.Tensor") -> "torch.Tensor":
        """Waveforms [B, n] float32 at 16 kHz → features [B, T, D], [B, L, T, D] or [B, n], float32.

        A row does not depend on the other rows of its batch.
        """

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        """Shape of one utterance's features, determined by extracting those of a silent one."""
        import torch

        return tuple(self.extract(torch.zeros(1, n_samples)).shape[1:])

    def obstacle(self) -> str:
        """The reason, in words, why the front-end cannot be timed on this machine; empty if it can."""
        return ""
