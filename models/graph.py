"""Graph attention over nodes that are frames or frequency bands: the blocks of the AASIST family.

Source: Jung, Heo, Tak, Shim, Chung, Lee, Yu, Evans: "AASIST: audio anti-spoofing using integrated spectro-temporal
graph attention networks", ICASSP 2022. Where the paper leaves a choice open (the axis of the soft-max, the order of the
pooled nodes), the formulas are those of its public repository clovaai/aasist (commit a04c986), because the published
checkpoints depend on them. State-dict names are those of that repository.

Shapes: B utterances in a batch, N nodes, D values per node. ⊙ is the product of two nodes, value by value.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from spoofcache.models.output import BackendOutput

NODE_DROPOUT = 0.2
"""Dropout rate in front of every graph layer, and on each of the six results of the two branches."""

PAIR_TEMPERATURE, TYPED_TEMPERATURE = 2.0, 100.0
"""Scores are divided by these before their soft-max: in plain graph layers, and in layers with two types of nodes.

The published configurations list four values, [2, 2, 100, 100]; the third serves all four heterogeneous layers, and
the fourth is never read.
"""

PLAIN_NODES = 72
"""Graphs of up to this many nodes are scored in one step (the largest of SSL-AASIST has 67); larger ones in blocks."""

ROWS = 32
"""Rows of the map of pairs in one block. With 240 nodes, blocks of 32 rows need a seventh of the memory of one step,
and less time.
"""


def pair_scores(x: torch.Tensor, projection: nn.Linear, weights: torch.Tensor) -> torch.Tensor:
    """Score all pairs of nodes, wₖ·tanh(A(x_i ⊙ x_j) + b): x [B, N, D] and weights [D', K] → [B, K, N, N].

    The tanh between the two products means that they cannot be merged, so one step holds B·N·N·D values. A large graph
    is scored in blocks of rows, each from the diagonal on, because the score is symmetric: x_i ⊙ x_j = x_j ⊙ x_i. The
    values inside a block are not kept; the backward pass computes them again.
    """

    def rows(nodes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(projection(nodes[:, :, None] * others[:, None])) @ weights).movedim(-1, 1)

    if x.shape[1] <= PLAIN_NODES:
        return rows(x, x)
    blocks = [
        F.pad(
            checkpoint(rows, x[:, start : start + ROWS], x[:, start:], use_reentrant=False, preserve_rng_state=False),
            (start, 0),
        )
        for start in range(0, x.shape[1], ROWS)
    ]
    upper = torch.cat(blocks, dim=2)
    return upper.triu() + upper.triu(1).mT


def norm_nodes(norm: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
    """Apply a batch norm to x [B, N, D], with statistics over its B·N rows."""
    return norm(x.flatten(0, 1)).view_as(x)


def _score_weight(channels: int) -> nn.Parameter:
    """Return the parameter [channels, 1] that turns the values of a pair into its score; Xavier-normal at first."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(channels, 1)))


class GraphAttention(nn.Module):
    """Graph attention layer: nodes [B, N, channels_in] → [B, N, channels_out].

    α[i, j] = soft-max over j of wᵀ·tanh(A(x_i ⊙ x_j) + b) / temperature, then
    z_i = W₁·Σ_j α[i, j]·x_j + W₂·x_i, followed by batch norm and SELU.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.att_proj = nn.Linear(channels_in, channels_out)
        self.att_weight = _score_weight(channels_out)
        self.proj_with_att = nn.Linear(channels_in, channels_out)
        self.proj_without_att = nn.Linear(channels_in, channels_out)
        self.bn = nn.BatchNorm1d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.dropout(x, NODE_DROPOUT, self.training)
        scores = pair_scores(x, self.att_proj, self.att_weight)[:, 0]
        attention = (scores / PAIR_TEMPERATURE).softmax(
            -1
        )  # over j; the other axis would not fit the published checkpoints
        return F.selu(norm_nodes(self.bn, self.proj_with_att(attention @ x) + self.proj_without_att(x)))


class HeterogeneousGraphAttention(nn.Module):
    """Graph attention over two types of nodes, and a master node that attends to both types.

    Temporal nodes (type 1) [B, N₁, channels_in], spectral nodes (type 2) [B, N₂, channels_in], master
    [B or 1, 1, channels_in] → the same three with channels_out values per node. A pair of temporal nodes, a pair of
    spectral nodes and a mixed pair each have score weights of their own.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.proj_type1 = nn.Linear(channels_in, channels_in)
        self.proj_type2 = nn.Linear(channels_in, channels_in)
        self.att_proj = nn.Linear(channels_in, channels_out)
        self.att_projM = nn.Linear(channels_in, channels_out)
        self.att_weight11, self.att_weight22 = _score_weight(channels_out), _score_weight(channels_out)
        self.att_weight12, self.att_weightM = _score_weight(channels_out), _score_weight(channels_out)
        self.proj_with_att = nn.Linear(channels_in, channels_out)
        self.proj_without_att = nn.Linear(channels_in, channels_out)
        self.proj_with_attM = nn.Linear(channels_in, channels_out)
        self.proj_without_attM = nn.Linear(channels_in, channels_out)
        self.bn = nn.BatchNorm1d(channels_out)

    def forward(
        self, temporal: torch.Tensor, spectral: torch.Tensor, master: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = torch.cat([self.proj_type1(temporal), self.proj_type2(spectral)], dim=1)
        x = F.dropout(x, NODE_DROPOUT, self.training)
        n_temporal = temporal.shape[1]
        attention = (self._scores(x, n_temporal) / TYPED_TEMPERATURE).softmax(-1)
        nodes = F.selu(norm_nodes(self.bn, self.proj_with_att(attention @ x) + self.proj_without_att(x)))
        return nodes[:, :n_temporal], nodes[:, n_temporal:], self._update_master(x, master)

    def _scores(self, x: torch.Tensor, n_temporal: int) -> torch.Tensor:
        """Score all pairs [B, N, N], each with the weights of its two types."""
        weights = torch.cat([self.att_weight11, self.att_weight22, self.att_weight12], dim=1)
        both_temporal, both_spectral, mixed = pair_scores(x, self.att_proj, weights).unbind(1)
        first, second = slice(None, n_temporal), slice(n_temporal, None)
        return torch.cat(
            [
                torch.cat([both_temporal[:, first, first], mixed[:, first, second]], dim=2),
                torch.cat([mixed[:, second, first], both_spectral[:, second, second]], dim=2),
            ],
            dim=1,
        )

    def _update_master(self, x: torch.Tensor, master: torch.Tensor) -> torch.Tensor:
        """Return the master node [B, 1, channels_out] after attention over the nodes before their own update."""
        scores = torch.tanh(self.att_projM(x * master)) @ self.att_weightM
        attention = (scores / TYPED_TEMPERATURE).softmax(1)
        return self.proj_with_attM(attention.mT @ x) + self.proj_without_attM(master)


class GraphPool(nn.Module):
    """Keep the nodes with the highest scores, each multiplied by its score: [B, N, D] → [B, max(⌊N·ratio⌋, 1), D].

    The score of a node is sigmoid(p·x_i + c). The nodes are sorted by falling score. The order matters, because AASIST
    compares its two branches node by node, each in its own order.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 1)
        self.ratio = ratio

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = torch.sigmoid(self.proj(F.dropout(x, 0.3, self.training)))
        best = scores.topk(max(int(x.shape[1] * self.ratio), 1), dim=1).indices
        return (x * scores).gather(1, best.expand(-1, -1, x.shape[2]))


def readout(temporal: torch.Tensor, spectral: torch.Tensor, master: torch.Tensor) -> torch.Tensor:
    """Join the largest magnitude and the mean of each graph's nodes, and the master node [B, 1, D] → [B, 5·D]."""
    parts = [temporal.abs().amax(1), temporal.mean(1), spectral.abs().amax(1), spectral.mean(1), master[:, 0]]
    return torch.cat(parts, dim=1)


class GraphClassifier(nn.Module):
    """Spectral nodes [B, N_S, channels] and temporal nodes [B, N_T, channels] → embedding [B, 160], logits [B, 2].

    This is the part that AASIST and the networks derived from it share. They inherit from this class, because its
    modules lie at the top of their state dicts, and compute the nodes themselves.

    Args:
        channels: The number of values per node.
        pool_ratios: The share of nodes kept in the spectral graph, in the temporal graph, and in both after the first
            heterogeneous layer. (The published configurations list a fourth ratio, which is never read.)

    Raises:
        ValueError: There are not three ratios, one lies outside (0, 1], or `channels` is below 1.
    """

    def __init__(self, channels: int, pool_ratios: Sequence[float]) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"nodes of {channels} channels; expected at least 1")
        if len(pool_ratios) != 3 or not all(0 < ratio <= 1 for ratio in pool_ratios):
            raise ValueError(f"pool ratios {tuple(pool_ratios)}; expected three, each above 0 and at most 1")
        self.GAT_layer_S = GraphAttention(channels, channels)
        self.GAT_layer_T = GraphAttention(channels, channels)
        self.pool_S = GraphPool(channels, pool_ratios[0])
        self.pool_T = GraphPool(channels, pool_ratios[1])
        hidden = 32
        for branch in "12":
            self.register_parameter(f"master{branch}", nn.Parameter(torch.randn(1, 1, channels)))
            self.add_module(f"HtrgGAT_layer_ST{branch}1", HeterogeneousGraphAttention(channels, hidden))
            self.add_module(f"HtrgGAT_layer_ST{branch}2", HeterogeneousGraphAttention(hidden, hidden))
            self.add_module(f"pool_hS{branch}", GraphPool(hidden, pool_ratios[2]))
            self.add_module(f"pool_hT{branch}", GraphPool(hidden, pool_ratios[2]))
        self.out_layer = nn.Linear(5 * hidden, 2)

    def classify(self, spectral: torch.Tensor, temporal: torch.Tensor) -> BackendOutput:
        """Run both graphs and their two branches, take the larger result of each node, and read out the embedding."""
        spectral = self.pool_S(self.GAT_layer_S(spectral))
        temporal = self.pool_T(self.GAT_layer_T(temporal))
        branches = zip(*(self._branch(branch, temporal, spectral) for branch in "12"), strict=True)
        embedding = readout(*(torch.maximum(one, other) for one, other in branches))
        return BackendOutput(embedding, self.out_layer(F.dropout(embedding, 0.5, self.training)))

    def _branch(self, branch: str, temporal: torch.Tensor, spectral: torch.Tensor) -> list[torch.Tensor]:
        """Return the temporal, spectral and master nodes after the two heterogeneous layers of one branch."""
        master = self.get_parameter(f"master{branch}")
        temporal, spectral, master = self.get_submodule(f"HtrgGAT_layer_ST{branch}1")(temporal, spectral, master)
        nodes = (
            self.get_submodule(f"pool_hT{branch}")(temporal),
            self.get_submodule(f"pool_hS{branch}")(spectral),
            master,
        )
        updates = self.get_submodule(f"HtrgGAT_layer_ST{branch}2")(*nodes)
        return [F.dropout(x + dx, NODE_DROPOUT, self.training) for x, dx in zip(nodes, updates, strict=True)]
