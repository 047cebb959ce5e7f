"""Networks found by architecture search: PC-DARTS, and a light version of it with max-feature-maps.

Space `pc`: Ge, Panariello, Patino, Todisco, Evans: "Partially-connected differentiable architecture search for
deepfake and spoofing detection", Interspeech 2021, after Xu et al., "PC-DARTS", ICLR 2020. Names in the state dict are
those of the public repository eurecom-asp/pc-darts-anti-spoofing.

Space `light`: Wang et al., "Fully automated end-to-end fake audio detection", DDAM 2022 (Light-DARTS,
arXiv 2208.09618). Its operations, cells and genotype are not public. This is our reading, not a reproduction: PC-DARTS
in which every ReLU → convolution → batch norm is a convolution with twice the channels → max-feature-map → batch norm.
"""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_choice, require_frames, require_groups, require_rate
from spoofcache.models.lcnn import MaxFeatureMap
from spoofcache.models.output import BackendOutput

SPACES = ("light", "pc")
KINDS = ("normal", "reduce")
OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES = 4
"""Number of nodes in a cell. A node sums over edges from earlier states: states 0 and 1 are the inputs of the cell, and
states from 2 on are the nodes before it."""

Genotype = Mapping[str, Sequence[Sequence[Any]]]
"""For each kind of cell, two pairs [operation, input state] per node."""

PUBLISHED: Genotype = {
    "normal": (
        ("sep_conv_5x5", 0), ("sep_conv_5x5", 1),
        ("sep_conv_3x3", 2), ("dil_conv_5x5", 0),
        ("avg_pool_3x3", 2), ("max_pool_3x3", 3),
        ("avg_pool_3x3", 2), ("avg_pool_3x3", 4),
    ),
    "reduce": (
        ("sep_conv_5x5", 1), ("sep_conv_3x3", 0),
        ("dil_conv_3x3", 2), ("avg_pool_3x3", 0),
        ("dil_conv_5x5", 2), ("sep_conv_3x3", 3),
        ("dil_conv_3x3", 2), ("avg_pool_3x3", 4),
    ),
}  # fmt: skip
"""The genotype that the authors of PC-DARTS for anti-spoofing found with LFCCs of ASVspoof 2019 LA, in space `pc`."""


MOST_LAYERS = 1_000
"""Largest number of cells; published networks have 4 to 16."""


class Convolution(NamedTuple):
    """The form of a convolution with a square kernel. A depthwise one works within each channel, and a 1×1 convolution
    across the channels follows it."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    depthwise: bool = False

    def layers(self, channels_in: int, channels_out: int) -> list[nn.Module]:
        """The layers that compute [B, C, H, W] → [B, C', H / stride, W / stride, rounded up]."""
        size = (self.kernel, self.stride, self.dilation * (self.kernel // 2), self.dilation)
        if not self.depthwise:
            return [nn.Conv2d(channels_in, channels_out, *size, bias=False)]
        within = nn.Conv2d(channels_in, channels_in, *size, groups=channels_in, bias=False)
        return [within, nn.Conv2d(channels_in, channels_out, 1, bias=False)]


POINTWISE = Convolution()


def _stage(
    space: str, channels_in: int, channels_out: int, form: Convolution = POINTWISE, affine: bool = False
) -> list[nn.Module]:
    """The layers of a stage.

    They are ReLU → convolution → batch norm in space `pc`, and convolution with twice the channels → max-feature-map →
    batch norm in space `light`.
    """
    convolution = form.layers(channels_in, channels_out * channel_factor(space))
    norm = nn.BatchNorm2d(channels_out, affine=affine)
    return [*convolution, MaxFeatureMap(), norm] if space == "light" else [nn.ReLU(), *convolution, norm]


def channel_factor(space: str) -> int:
    """Number of channels that a convolution computes for each output channel of its stage."""
    return 2 if space == "light" else 1


class Stages(nn.Module):
    """One or two stages: [B, C, H, W] → [B, C', H / stride, W / stride, rounded up]."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.op = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class FactorizedReduce(nn.Module):
    """Halves height and width in space `pc`: [B, C, H, W] → [B, C', ⌈H/2⌉, ⌈W/2⌉].

    Both convolutions read the same positions, as in eurecom-asp/pc-darts-anti-spoofing. In DARTS the second one is
    shifted by one pixel.
    """

    def __init__(self, channels_in: int, channels_out: int, affine: bool) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels_in, channels_out // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(channels_in, channels_out // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, affine=affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x)], 1))


def _reduce(space: str, channels_in: int, channels_out: int, affine: bool = False) -> nn.Module:
    if space == "pc":
        return FactorizedReduce(channels_in, channels_out, affine)
    return Stages(*_stage(space, channels_in, channels_out, Convolution(stride=2), affine))


class Zero(nn.Module):
    """No connection: [B, C, H, W] → zeros [B, C, H / stride, W / stride, rounded up]."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def operation(space: str, name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """The operation of that name in OPERATIONS: [B, C, H, W] → [B, C, H / stride, W / stride, rounded up]."""
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else _reduce(space, channels, channels, affine)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    kernel = int(name[-1])
    if name.startswith("dil"):
        return Stages(*_stage(space, channels, channels, Convolution(kernel, stride, 2, depthwise=True), affine))
    return Stages(
        *_stage(space, channels, channels, Convolution(kernel, stride, depthwise=True), affine),
        *_stage(space, channels, channels, Convolution(kernel, depthwise=True), affine),
    )


class CellPlan(NamedTuple):
    """The channels of each node, whether the cell halves height and width, and whether the previous cell did."""

    channels: int
    reduces: bool
    after_reduction: bool

    @property
    def kind(self) -> str:
        return "reduce" if self.reduces else "normal"

    def stride(self, state: int) -> int:
        """The stride of an edge that starts at this state."""
        return 2 if self.reduces and state < 2 else 1


def cell_plans(channels: int, layers: int) -> list[CellPlan]:
    """The cells of a network. The cells at one third and at two thirds of the depth reduce, and double the channels."""
    plans: list[CellPlan] = []
    for index in range(layers):
        reduces = index in (layers // 3, 2 * layers // 3)
        channels *= 2 if reduces else 1
        plans.append(
            CellPlan(channels, reduces, plans[-1].reduces if plans else True)
        )  # stem1 halves the output of stem0
    return plans


class Cell(nn.Module):
    """The part that all cells share: it brings both inputs to the cell's number of channels and to the same size."""

    def __init__(self, space: str, plan: CellPlan, inputs: tuple[int, int]) -> None:
        super().__init__()
        if plan.after_reduction:
            self.preprocess0: nn.Module = _reduce(space, inputs[0], plan.channels)
        else:
            self.preprocess0 = Stages(*_stage(space, inputs[0], plan.channels))
        self.preprocess1 = Stages(*_stage(space, inputs[1], plan.channels))


class DerivedCell(Cell):
    """A cell with the two operations that the genotype keeps for each node: two inputs → [B, 4C, H, W]."""

    def __init__(
        self, space: str, plan: CellPlan, inputs: tuple[int, int], genotype: Genotype, drop_path: float
    ) -> None:
        super().__init__(space, plan, inputs)
        pairs = genotype[plan.kind]
        self._ops = nn.ModuleList(
            operation(space, name, plan.channels, plan.stride(state), affine=True) for name, state in pairs
        )
        self._states = [state for _, state in pairs]
        self._drop_path = drop_path

    def forward(self, s0: torch.Tensor, s1: torch.Tensor) -> torch.Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for node in range(NODES):
            first, second = (self._edge(edge, states) for edge in (2 * node, 2 * node + 1))
            states.append(first + second)
        return torch.cat(states[2:], 1)

    def _edge(self, edge: int, states: list[torch.Tensor]) -> torch.Tensor:
        y = self._ops[edge](states[self._states[edge]])
        if not self.training or not self._drop_path or isinstance(self._ops[edge], nn.Identity):
            return y
        kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self._drop_path
        return y * kept / (1 - self._drop_path)


class CellNetwork(nn.Module):
    """Features [B, T, D] as an image of height D and width T → stem (an eighth of both) → cells → mean over positions.

    Args:
        space: `light` or `pc`.
        plans: the cells, in order.
        stem: number of channels that the stem computes.
        make_cell: builds a cell from its plan and the numbers of channels of its two inputs. Arguments of `forward`
            after the features are passed on to every cell.
    """

    def __init__(
        self,
        space: str,
        plans: Sequence[CellPlan],
        stem: int,
        make_cell: Callable[[CellPlan, tuple[int, int]], nn.Module],
    ) -> None:
        super().__init__()
        halving = Convolution(kernel=3, stride=2)
        first = _stage(space, 1, stem // 2, halving, affine=True)
        first = first if space == "light" else first[1:]  # without the ReLU before the features
        self.stem0 = nn.Sequential(*first, *_stage(space, stem // 2, stem, halving, affine=True))
        self.stem1 = nn.Sequential(*_stage(space, stem, stem, halving, affine=True))
        inputs = (stem, stem)
        self.cells = nn.ModuleList()
        for plan in plans:
            self.cells.append(make_cell(plan, inputs))
            inputs = (inputs[1], NODES * plan.channels)
        self.classifier = nn.Linear(inputs[1], 2)

    def forward(self, features: torch.Tensor, *weights: Any) -> BackendOutput:
        s0 = self.stem0(features.transpose(1, 2).unsqueeze(1))
        s1 = self.stem1(s0)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, *weights)
        embedding = s1.mean((2, 3))
        return BackendOutput(embedding, self.classifier(embedding))


class LightDARTS(CellNetwork):
    """Features [B, T, D] → embedding [B, E], logits [B, 2]; with four cells of 16 channels E = 256.

    Args:
        feature_shape: (T, D) of the cached features.
        genotype: the tables `normal` and `reduce`, each with eight pairs [operation, input state], two for each node.
            The default is the genotype published for PC-DARTS, which has 147,274 parameters with `space="pc"` and the
            default size.
        space: `light` (convolutions with max-feature-maps) or `pc` (convolutions with ReLUs).
        channels: number of channels of a node in the first cells; each of the two reductions doubles it. Must be even.
        layers: number of cells.
        drop_path: probability with which training omits an operation for an utterance.

    Raises:
        ValueError: the features have another shape, or a setting is out of its range.
    """

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        genotype: Genotype = PUBLISHED,
        space: str = "light",
        channels: int = 16,
        layers: int = 4,
        drop_path: float = 0.0,
    ) -> None:
        check_network("LightDARTS", feature_shape, space, channels, layers)
        _check_genotype(genotype)
        require_rate("LightDARTS", "drop_path", drop_path)
        super().__init__(
            space,
            cell_plans(channels, layers),
            channels,
            lambda plan, inputs: DerivedCell(space, plan, inputs, genotype, drop_path),
        )


def check_network(name: str, feature_shape: tuple[int, ...], space: str, channels: int, layers: int) -> None:
    """ValueError, with the name of the network, if it does not take the features or a setting is out of its range."""
    require_frames(name, feature_shape)
    require_choice(name, "space", space, SPACES)
    require_groups(name, channels, 2)
    if not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"{name} with {layers} layers; expected at least 1 and at most {MOST_LAYERS}")


def _check_genotype(genotype: Genotype) -> None:
    """ValueError that names the first invalid table or pair of a genotype."""
    if not isinstance(genotype, Mapping) or set(genotype) != set(KINDS):
        raise ValueError(
            f"LightDARTS with genotype {reprlib.repr(genotype)}; expected the tables {' and '.join(KINDS)}"
        )
    for kind, pairs in genotype.items():
        if not isinstance(pairs, Sequence) or len(pairs) != 2 * NODES:
            found = f"genotype.{kind} {reprlib.repr(pairs)}"
            raise ValueError(f"LightDARTS with {found}; expected {2 * NODES} pairs, two for each node")
        for position, pair in enumerate(pairs):
            last = position // 2 + 1
            if not _is_choice(pair, last):
                raise ValueError(
                    f"LightDARTS with genotype.{kind}[{position}] {pair!r}; expected [operation, input state], "
                    f"one of {', '.join(OPERATIONS[1:])} and a whole number from 0 to {last}"
                )


def _is_choice(pair: Any, last: int) -> bool:
    """Whether a pair is an operation and a state, which must not be later than the last one that the node can read."""
    if not isinstance(pair, Sequence) or len(pair) != 2:
        return False
    return pair[0] in OPERATIONS[1:] and type(pair[1]) is int and 0 <= pair[1] <= last
