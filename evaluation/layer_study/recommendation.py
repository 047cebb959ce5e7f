"""What a layer study recommends to cache, and what it costs."""

from dataclasses import dataclass

from spoofcache.evaluation.layer_study.study import Combination


@dataclass(frozen=True)
class Recommendation:
    """A combination of layers with the commands that cache their frames for all sets of the study.

    Attributes:
        combination: the layers, and how good they are.
        commands: command lines of preprocess.py.
        n_bytes: size of the features of all sets, in whole and not only of the subsets.
        seconds: duration of the extraction; None if it could not be measured.
        device: where the extraction was timed.
        blocks: number of transformer blocks that run, and that the model has; None for a front-end without blocks.
        remarks: sentences on what the commands or the estimate lack.
    """

    combination: Combination
    commands: tuple[str, ...]
    n_bytes: int
    seconds: float | None
    device: str
    blocks: tuple[int, int] | None
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The kind of the combination: `Best pair: 5 + 9`."""
        n_layers = len(self.combination.layers)
        kind = {1: "Best layer", 2: "Best pair"}.get(n_layers, f"Best {n_layers} layers")
        return f"{kind}: {self.combination.name}"

    @property
    def cost(self) -> str:
        """Blocks, gigabytes and time in words."""
        blocks = f"{self.blocks[0]} of {self.blocks[1]} blocks run, " if self.blocks else ""
        time = "time unknown" if self.seconds is None else f"about {self.seconds / 60:.1f} minutes on {self.device}"
        return f"{blocks}{self.n_bytes / 1e9:.3g} GB, {time}"
