"""A Conformer with temporal-channel modelling (TCM): each block attends to frames and to heads at the same time.

Source: Truong, Tao, Nguyen, Luong, Lee, Chng: "Temporal-channel modeling in multi-head self-attention for synthetic
speech detection", Interspeech 2024, and its public repository ductuantruong/tcm_add (commit 1f1179a). State-dict names
are those of that repository. The Conformer is that of Gulati et al., Interspeech 2020, without relative positions.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_frames, require_groups
from spoofcache.models.output import BackendOutput

MOST_FRAMES = 10_000
"""Number of frames that have a positional embedding: 200 s."""


class PreNorm(nn.Module):
    """A layer normalisation, then `fn`: [B, N, D] → [B, N, D]."""

    def __init__(self, size: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(size), fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fn(self.norm(x))
        return y


class Wide(nn.Module):
    """A layer of 4·D values, the swish, and a layer of D values: [B, N, D] → [B, N, D]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"0": nn.Linear(size, 4 * size), "3": nn.Linear(4 * size, size)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.net["3"](F.silu(self.net["0"](x)))
        return y


class HalfFeedForward(nn.Module):
    """Half of what a feed-forward network adds to its input in a transformer: [B, N, D] → [B, N, D]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fn = PreNorm(size, Wide(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * self.fn(x)


class HeadTokenAttention(nn.Module):
    """Self-attention [B, N, D] → [B, N, D] over N tokens and one more for each head.

    The token of a head is made from the mean over time of that head's share of the input. Afterwards, the means of the
    head tokens and of the frames are added to the first token, that of the class.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads, share = heads, size // heads
        self.qkv = nn.Linear(size, 3 * size, bias=False)
        self.proj = nn.Linear(size, size)
        self.ht_proj = nn.Linear(share, size)
        self.ht_norm = nn.LayerNorm(share)
        self.pos_embed = nn.Parameter(torch.zeros(1, heads, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, self._head_tokens(x)], dim=1)
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        token, frames, of_heads = x[:, :1], x[:, 1 : -self.heads], x[:, -self.heads :]
        return torch.cat([token + of_heads.mean(1, keepdim=True) + frames.mean(1, keepdim=True), frames], dim=1)

    def _head_tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return the tokens of the heads [B, H, D]."""
        means = x.mean(1).unflatten(1, (self.heads, -1))  # [B, H, D / H]
        tokens = self.ht_proj(means).unflatten(2, (self.heads, -1))
        return F.gelu(self.ht_norm(tokens)).flatten(2) + self.pos_embed


class Filters(nn.Module):
    """A filter over time for each channel: [B, C, N] → [B, C, N]."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel_size, groups=channels)
        self._padding = (kernel_size // 2, kernel_size // 2 - (kernel_size + 1) % 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.pad(x, self._padding))


class Convolution(nn.Module):
    """[B, N, D] → [B, N, D]: a gated layer of 2·D channels, their filters over time, batch norm, the swish, a layer."""

    def __init__(self, size: int, kernel_size: int) -> None:
        super().__init__()
        inner = 2 * size
        self.net = nn.ModuleDict(
            {
                "0": nn.LayerNorm(size),
                "2": nn.Conv1d(size, 2 * inner, 1),
                "4": Filters(inner, kernel_size),
                "5": nn.BatchNorm1d(inner),
                "7": nn.Conv1d(inner, size, 1),
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm, widen, filters, batch_norm, narrow = self.net.values()
        y: torch.Tensor = narrow(F.silu(batch_norm(filters(F.glu(widen(norm(x).mT), dim=1)))))
        return y.mT


class ConformerBlock(nn.Module):
    """[B, N, D] → [B, N, D]: half a feed-forward, attention, convolution, half a feed-forward, layer normalisation."""

    def __init__(self, size: int, heads: int, kernel_size: int) -> None:
        super().__init__()
        self.ff1, self.ff2 = HalfFeedForward(size), HalfFeedForward(size)
        self.attn = PreNorm(size, HeadTokenAttention(size, heads))
        self.conv = Convolution(size, kernel_size)
        self.post_norm = nn.LayerNorm(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.ff1(x)
        x = x + self.attn(x)
        x = x + self.conv(x)
        x = x + self.ff2(x)
        y: torch.Tensor = self.post_norm(x)
        return y


class Encoder(nn.Module):
    """Frames [B, T, D] → the class token after the blocks [B, D], and the layer that makes logits of it."""

    positional_emb: torch.Tensor

    def __init__(self, size: int, heads: int, kernel_size: int, blocks: int) -> None:
        super().__init__()
        self.register_buffer("positional_emb", positions(MOST_FRAMES, size)[None])
        self.class_token = nn.Parameter(torch.rand(1, size))
        self.encoder_blocks = nn.ModuleList(ConformerBlock(size, heads, kernel_size) for _ in range(blocks))
        self.fc5 = nn.Linear(size, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.positional_emb[:, : x.shape[1]]
        x = torch.cat([self.class_token.expand(x.shape[0], 1, -1), x], dim=1)
        for block in self.encoder_blocks:
            x = block(x)
        return x[:, 0]


def positions(frames: int, size: int) -> torch.Tensor:
    """Return the positional embeddings [frames, size]: sine (even i) or cosine (odd i) of t / 10000^(2·⌊i/2⌋ / size).

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5.
    """
    index = torch.arange(size, dtype=torch.float64)
    angles = torch.arange(frames, dtype=torch.float64)[:, None] / 10_000 ** (2 * (index // 2) / size)
    return torch.where(index % 2 == 0, angles.sin(), angles.cos()).float()


class ConformerTCM(nn.Module):
    """Features [B, T, D] → embedding [B, embedding], logits [B, 2]; 2,382,628 parameters at D = 1024.

    Args:
        feature_shape: (T, D) with at most MOST_FRAMES frames; the published models take 208×1024, the hidden states of
            66,800 samples.
        embedding: the size of a frame in the Conformer, a multiple of `heads`.
        heads: the number of heads of each attention.
        kernel_size: the width of the filters over time, in frames.
        blocks: the number of blocks.

    Raises:
        ValueError: The shape is not (T, D), T is too large, or a setting is less than 1 or does not fit the others.
    """

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        embedding: int = 144,
        heads: int = 4,
        kernel_size: int = 31,
        blocks: int = 4,
    ) -> None:
        super().__init__()
        frames, coefficients = require_frames("ConformerTCM", feature_shape)
        if frames > MOST_FRAMES:
            raise ValueError(f"ConformerTCM on {frames} frames; expected at most {MOST_FRAMES}")
        if min(embedding, heads, kernel_size, blocks) < 1:
            raise ValueError(
                f"ConformerTCM with embedding {embedding}, heads {heads}, kernel_size {kernel_size} and blocks {blocks}"
                "; expected at least 1 of each"
            )
        require_groups("ConformerTCM", embedding, heads, of="values of an embedding")
        self.LL = nn.Linear(coefficients, embedding)
        self.first_bn = nn.BatchNorm2d(1)
        self.conformer = Encoder(embedding, heads, kernel_size, blocks)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = F.selu(self.first_bn(self.LL(features)[:, None]))[:, 0]
        embedding = self.conformer(x)
        return BackendOutput(embedding, self.conformer.fc5(embedding))
