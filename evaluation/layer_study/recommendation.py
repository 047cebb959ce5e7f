"""What a layer study recommends to cache, and what it costs."""

from dataclasses import dataclass

from spoofcache.evaluation.layer_study.study import Combination


@dataclass(frozen=True)
class Cost:
    """What it takes to cache frames of some layers for all sets of a study, in whole and not only of the subsets.

    Attributes:
        n_bytes: size of the features; None if the speech model could not be loaded.
        seconds: duration of the extraction; None if it could not be measured.
        device: where the extraction was timed.
        blocks: number of transformer blocks that run, and that the model has; None for a front-end without blocks.
        remarks: sentences on what the commands or the estimate lack.
    """

    n_bytes: int | None
    seconds: float | None
    device: str
    blocks: tuple[int, int] | None
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        blocks = f"{self.blocks[0]} of {self.blocks[1]} blocks run, " if self.blocks else ""
        size = "size unknown" if self.n_bytes is None else f"{self.n_bytes / 1e9:.3g} GB"
        time = "time unknown" if self.seconds is None else f"about {self.seconds / 60:.1f} minutes on {self.device}"
        return f"{blocks}{size}, {time}"


@dataclass(frozen=True)
class Recommendation:
    """A combination of layers, the command lines of preprocess.py that cache their frames, and the cost of these."""

    combination: Combination
    commands: tuple[str, ...]
    cost: Cost

    @property
    def title(self) -> str:
        """The kind of the combination: `Best pair: 5 + 9`."""
        n_layers = len(self.combination.layers)
        kind = {1: "Best layer", 2: "Best pair"}.get(n_layers, f"Best {n_layers} layers")
        return f"{kind}: {self.combination.name}"
