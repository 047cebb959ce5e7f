"""AASIST with multi-head attention in place of its graph attention.

Source: "Towards scalable AASIST: refining graph attention for speech deepfake detection", arXiv 2507.11777, and its
public repository KORALLLL/AASIST_SCALING (commit 28dbcd6). State-dict names are those of that repository. Its attention
temperatures are omitted, because it passes them and never uses them.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.aasist import ENCODER_CHANNELS, ResidualBlock
from spoofcache.models.checks import require_frames
from spoofcache.models.graph import NODE_DROPOUT, GraphPool, norm_nodes, readout
from spoofcache.models.output import BackendOutput
from spoofcache.models.ssl_aasist import PROJECTED, attentive_nodes

HEADS = 4
POOL_RATIO = 0.5

Nodes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Temporal nodes [B, N_T, D], spectral nodes [B, N_S, D] and master node [B, 1, D]."""


def _attention(channels: int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(channels, HEADS, dropout=NODE_DROPOUT, batch_first=True)


class PreActivationBlock(ResidualBlock):
    """AASIST's residual block with its pre-activation: `bn1` is applied, and GELU replaces SELU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.gelu(self.bn1(x)) if hasattr(self, "bn1") else x)
        return self.conv2(F.gelu(self.bn2(y))) + self.conv_downsample(x)


class MultiHeadGraphAttention(nn.Module):
    """Add multi-head self-attention and a linear map of the nodes: [B, N, channels] → [B, N, channels]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mha = _attention(channels)
        self.proj_with_att = nn.Linear(channels, channels)
        self.proj_without_att = nn.Linear(channels, channels)
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.dropout(x, NODE_DROPOUT, self.training)
        attended, _ = self.mha(x, x, x, need_weights=False)
        return F.gelu(norm_nodes(self.bn, self.proj_with_att(attended) + self.proj_without_att(x)))


class TypedAttention(nn.Module):
    """Multi-head attention over nodes of two types. Each type has its own queries and keys; the values are shared."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q1, self.to_q2 = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_k1, self.to_k2 = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.to_v, self.to_out = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, temporal: torch.Tensor, spectral: torch.Tensor) -> torch.Tensor:
        query = torch.cat([self.to_q1(temporal), self.to_q2(spectral)], dim=1)
        key = torch.cat([self.to_k1(temporal), self.to_k2(spectral)], dim=1)
        value = self.to_v(torch.cat([temporal, spectral], dim=1))
        heads = (x.unflatten(2, (HEADS, -1)).transpose(1, 2) for x in (query, key, value))  # [B, heads, N, D / heads]
        attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        return F.dropout(self.to_out(attended), NODE_DROPOUT, self.training)


class TypedGraphLayer(nn.Module):
    """Update temporal (type 1), spectral (type 2) and master nodes from channels_in to channels_out values each."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.proj_type1 = nn.Linear(channels_in, channels_in)
        self.proj_type2 = nn.Linear(channels_in, channels_in)
        self.het_attention = TypedAttention(channels_in)
        self.proj_with_att = nn.Linear(channels_in, channels_out)
        self.proj_without_att = nn.Linear(channels_in, channels_out)
        self.mha_master = _attention(channels_in)
        self.proj_with_attM = nn.Linear(channels_in, channels_out)
        self.proj_without_attM = nn.Linear(channels_in, channels_out)
        self.bn = nn.BatchNorm1d(channels_out)

    def forward(self, temporal: torch.Tensor, spectral: torch.Tensor, master: torch.Tensor) -> Nodes:
        sizes = [temporal.shape[1], spectral.shape[1]]
        x = torch.cat([self.proj_type1(temporal), self.proj_type2(spectral)], dim=1)
        x = F.dropout(x, NODE_DROPOUT, self.training)
        gathered, _ = self.mha_master(master, x, x, need_weights=False)
        attended = self.het_attention(*x.split(sizes, dim=1))
        nodes = F.gelu(norm_nodes(self.bn, self.proj_with_att(attended) + self.proj_without_att(x)))
        temporal, spectral = nodes.split(sizes, dim=1)
        return temporal, spectral, self.proj_with_attM(gathered) + self.proj_without_attM(master)


class Stream(nn.Module):
    """One of the two paths through the heterogeneous layers: nodes with 64 values → half as many nodes with 32."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.hgat1 = TypedGraphLayer(channels_in, channels_out)
        self.hgat2 = TypedGraphLayer(channels_out, channels_out)
        self.pool_hS = GraphPool(channels_out, POOL_RATIO)
        self.pool_hT = GraphPool(channels_out, POOL_RATIO)

    def forward(self, temporal: torch.Tensor, spectral: torch.Tensor, master: torch.Tensor) -> list[torch.Tensor]:
        temporal, spectral, master = self.hgat1(temporal, spectral, master)
        nodes = self.pool_hT(temporal), self.pool_hS(spectral), master
        updates = self.hgat2(*nodes)
        return [F.dropout(x + dx, NODE_DROPOUT, self.training) for x, dx in zip(nodes, updates, strict=True)]


class EnhancedAASIST(nn.Module):
    """Features [B, T, D] → embedding [B, 160], logits [B, 2]; 576,202 parameters at D = 1024.

    Up to the graphs this is SSLAASIST, with GELU, and with a residual encoder that does apply its pre-activations.
    Where AASIST takes the larger result of its two branches, the nodes of both streams are concatenated here and
    attend to each other.

    Args:
        feature_shape: (T, D); the original takes 201×1024, the hidden states of XLS-R.

    Raises:
        ValueError: The shape is not (T, D) with at least 3 frames.
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        _, coefficients = require_frames(type(self).__name__, feature_shape, frames=3)
        channels, hidden = 64, 32
        self.feature_proj = nn.Linear(coefficients, PROJECTED)
        self.pre_encoder_bn = nn.BatchNorm2d(1)
        widths = (*ENCODER_CHANNELS, *4 * (channels,))
        self.encoder = nn.Sequential(*(PreActivationBlock(widths[i], widths[i + 1], first=i == 0) for i in range(6)))
        self.post_encoder_bn = nn.BatchNorm2d(channels)
        self.attention = nn.Sequential(
            nn.Conv2d(channels, 128, 1), nn.GELU(), nn.BatchNorm2d(128), nn.Conv2d(128, channels, 1)
        )
        self.pos_S = nn.Parameter(torch.randn(1, PROJECTED // 3, channels))
        self.gat_S, self.gat_T = MultiHeadGraphAttention(channels), MultiHeadGraphAttention(channels)
        self.pool_S, self.pool_T = GraphPool(channels, POOL_RATIO), GraphPool(channels, POOL_RATIO)
        self.masters = nn.ParameterList(torch.randn(1, 1, channels) for _ in range(2))
        self.hgat_streams = nn.ModuleList(Stream(channels, hidden) for _ in range(2))
        for kind in ("T", "S", "master"):
            self.add_module(f"stream_combiner_{kind}", _attention(hidden))
            self.add_module(f"norm_{kind}", nn.LayerNorm(hidden))
        self.out_layer = nn.Linear(5 * hidden, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        spectral, temporal = self._nodes(features)
        spectral, temporal = self.pool_S(self.gat_S(spectral)), self.pool_T(self.gat_T(temporal))
        masters = [master.expand(features.shape[0], -1, -1) for master in self.masters]
        streams = [stream(temporal, spectral, m) for stream, m in zip(self.hgat_streams, masters, strict=True)]
        temporal, spectral, master = (
            self._combine(kind, torch.cat(nodes, dim=1))
            for kind, nodes in zip(("T", "S", "master"), zip(*streams, strict=True), strict=True)
        )
        embedding = readout(temporal, spectral, master.mean(1, keepdim=True))
        return BackendOutput(embedding, self.out_layer(F.dropout(embedding, 0.5, self.training)))

    def _nodes(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the spectral nodes [B, 42, 64] and the temporal nodes [B, T // 3, 64]."""
        x = self.feature_proj(features).mT[:, None]  # [B, 1, 128, T]: the height is the coefficient, the width is time
        x = F.gelu(self.pre_encoder_bn(F.max_pool2d(x, 3)))
        x = F.gelu(self.post_encoder_bn(self.encoder(x)))
        spectral, temporal = attentive_nodes(x, self.attention(x))
        return spectral + self.pos_S, temporal

    def _combine(self, kind: str, nodes: torch.Tensor) -> torch.Tensor:
        """Apply self-attention over both streams' nodes [B, N, 32] of one kind, with a residual and a layer norm."""
        attended, _ = self.get_submodule(f"stream_combiner_{kind}")(nodes, nodes, nodes, need_weights=False)
        return self.get_submodule(f"norm_{kind}")(nodes + attended)
