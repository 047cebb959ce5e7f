"""What an architecture search trains: a network that contains every architecture of a space, and the choice among them.

Bi-level search after Liu et al., "DARTS", ICLR 2019, with the partial channels and the edge normalisation of Xu et al.,
"PC-DARTS", ICLR 2020. The expected cost of an architecture is ours.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.light_darts import (
    KINDS,
    NODES,
    OPERATIONS,
    Cell,
    CellNetwork,
    CellPlan,
    Genotype,
    cell_plans,
    channel_factor,
    check_network,
    operation,
)

NODE_EDGES = tuple(slice(node * (node + 3) // 2, (node + 1) * (node + 4) // 2) for node in range(NODES))
"""The range of each node's edges among all edges of a cell. The edges of a node are ordered by state."""
EDGES = tuple((node, state) for node in range(NODES) for state in range(node + 2))
"""The node at which each edge of a cell ends, and the state at which it starts."""
PARTIAL = 2
"""K of PC-DARTS: 1/K of the channels go through the operations of a mixed edge, and the others bypass them."""


class EdgeWeights(NamedTuple):
    """For one kind of cell, the share of each operation on each edge [14, 8], and of each edge in its node [14]."""

    operations: torch.Tensor
    edges: torch.Tensor


class MixedOperation(nn.Module):
    """All operations at once on a part of the channels: [B, C, H, W], shares [8] → [B, C, H / stride, W / stride].

    The other channels bypass the operations, through a 2×2 max-pooling if the edge reduces. A channel shuffle then
    mixes the two parts.
    """

    def __init__(self, space: str, channels: int, stride: int) -> None:
        super().__init__()
        self._part = channels // PARTIAL
        self._bypass = nn.Identity() if stride == 1 else nn.MaxPool2d(2, ceil_mode=True)
        self._ops = nn.ModuleList()
        for name in OPERATIONS:
            module = operation(space, name, self._part, stride, affine=False)
            pooled = "pool" in name
            self._ops.append(nn.Sequential(module, nn.BatchNorm2d(self._part, affine=False)) if pooled else module)

    def forward(self, x: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        part = x[:, : self._part]
        mixed = sum(share * op(part) for share, op in zip(shares, self._ops, strict=True))
        return F.channel_shuffle(torch.cat([mixed, self._bypass(x[:, self._part :])], 1), PARTIAL)


class SearchCell(Cell):
    """A cell with every operation on every edge: two inputs and shares by kind of cell → [B, 4C, H, W]."""

    def __init__(self, space: str, plan: CellPlan, inputs: tuple[int, int]) -> None:
        super().__init__(space, plan, inputs)
        self._kind = plan.kind
        self._ops = nn.ModuleList(MixedOperation(space, plan.channels, plan.stride(state)) for _, state in EDGES)

    def forward(self, s0: torch.Tensor, s1: torch.Tensor, weights: Mapping[str, EdgeWeights]) -> torch.Tensor:
        shares, edges = weights[self._kind]
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for node in NODE_EDGES:
            mixed = (
                edges[edge] * self._ops[edge](state, shares[edge])
                for edge, state in zip(range(node.start, node.stop), states, strict=True)
            )
            states.append(torch.stack(list(mixed)).sum(0))
        return torch.cat(states[2:], 1)


class SuperNet(CellNetwork):
    """All architectures of a space at once: features [B, T, D], shares by kind of cell → embedding, logits [B, 2].

    Four cells of 16 channels in space `pc` have 408,874 parameters. Arguments and errors are those of LightDARTS.
    """

    def __init__(
        self, feature_shape: tuple[int, ...], space: str = "light", channels: int = 16, layers: int = 4
    ) -> None:
        check_network("SuperNet", feature_shape, space, channels, layers)
        super().__init__(
            space,
            cell_plans(channels, layers),
            3 * channels,
            lambda plan, inputs: SearchCell(space, plan, inputs),
        )


class Architecture(nn.Module):
    """The parameters that a search learns: preferences for operations [14, 8] and edges [14] in each kind of cell."""

    def __init__(self) -> None:
        super().__init__()
        self.alphas_normal = nn.Parameter(1e-3 * torch.randn(len(EDGES), len(OPERATIONS)))
        self.alphas_reduce = nn.Parameter(1e-3 * torch.randn(len(EDGES), len(OPERATIONS)))
        self.betas_normal = nn.Parameter(1e-3 * torch.randn(len(EDGES)))
        self.betas_reduce = nn.Parameter(1e-3 * torch.randn(len(EDGES)))

    def forward(self) -> dict[str, EdgeWeights]:
        """The shares: soft-max of the preferences over an edge's operations and (edge normalisation) a node's edges."""
        weights = {}
        for kind in KINDS:
            alphas, betas = getattr(self, f"alphas_{kind}"), getattr(self, f"betas_{kind}")
            edges = torch.cat([betas[node].softmax(0) for node in NODE_EDGES])
            weights[kind] = EdgeWeights(alphas.softmax(1), edges)
        return weights

    @torch.no_grad()
    def genotype(self) -> dict[str, list[list[Any]]]:
        """Each node's two strongest edges, the stronger one first, with their best operation other than `none`.

        The strength of an edge is its share times the share of its best operation (Xu et al. 2020, section 3.2).
        """
        return {kind: _strongest(weights) for kind, weights in self().items()}


def _strongest(weights: EdgeWeights) -> list[list[Any]]:
    shares, best = weights.operations[:, 1:].max(1)
    strength = (weights.edges * shares).tolist()
    pairs: list[list[Any]] = []
    for node in NODE_EDGES:
        edges = sorted(range(node.start, node.stop), key=lambda edge: -strength[edge])[:2]
        pairs += [[OPERATIONS[1 + int(best[edge])], EDGES[edge][1]] for edge in edges]
    return pairs


def multiply_adds(space: str, name: str, channels: int, positions: int, stride: int) -> int:
    """Number of multiply-adds of an operation whose output has that number of positions, H'·W'.

    Only convolutions count: a batch norm can be folded into them, and pooling has no multiplications.
    """
    across = channels * channels * channel_factor(space)
    if name == "skip_connect":
        return 0 if stride == 1 else positions * across
    if "conv" not in name:
        return 0
    repeats = 2 if name.startswith("sep") else 1
    return repeats * positions * (int(name[-1]) ** 2 * channels + across)


def cost_tables(feature_shape: tuple[int, ...], space: str, channels: int, layers: int) -> dict[str, torch.Tensor]:
    """Multiply-adds per utterance [14, 8] of each operation on each edge of a derived network, by kind of cell.

    They are summed over all cells of the kind, which share one architecture.
    """
    tables = {kind: torch.zeros(len(EDGES), len(OPERATIONS), dtype=torch.int64) for kind in KINDS}
    frames, coefficients = (-(-size // 8) for size in feature_shape)  # after the stem
    for plan in cell_plans(channels, layers):
        if plan.reduces:
            frames, coefficients = -(-frames // 2), -(-coefficients // 2)
        for edge, (_, state) in enumerate(EDGES):
            tables[plan.kind][edge] += torch.tensor(
                [
                    multiply_adds(space, name, plan.channels, frames * coefficients, plan.stride(state))
                    for name in OPERATIONS
                ]
            )
    return tables


def genotype_cost(genotype: Genotype, tables: Mapping[str, torch.Tensor]) -> int:
    """Multiply-adds per utterance of the operations that a genotype chooses."""
    return sum(
        int(tables[kind][NODE_EDGES[position // 2].start + state, OPERATIONS.index(name)])
        for kind in KINDS
        for position, (name, state) in enumerate(genotype[kind])
    )


def expected_cost(weights: Mapping[str, EdgeWeights], tables: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Mean multiply-adds of an architecture drawn at random by these shares, as a scalar from 0 to 1.

    0 stands for the cheapest architecture of the space, and 1 for the most expensive one. A node's edges are drawn by
    the shares of the edges, and an edge's operation by the shares of its operations. The number of edges that a node
    keeps is the same factor in all terms, and cancels.
    """
    spent = sum((weights[kind].edges @ (weights[kind].operations * tables[kind]).sum(1)) for kind in KINDS)
    nodes = [tables[kind][node] for kind in KINDS for node in NODE_EDGES]
    least, most = sum(node.min() for node in nodes), sum(node.max() for node in nodes)
    return (spent - least) / (most - least)  # type: ignore[return-value]
