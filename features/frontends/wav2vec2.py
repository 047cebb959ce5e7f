"""The networks of the wav2vec 2.0 family as matrix products, several times as fast as in transformers.

"The library" is transformers. A network is made from the library's loaded model, shares its weights and computes the
same numbers. Three things differ. Frames are stored channels-last, one utterance after the other, so that every
convolution of the extractor is one or two products over the whole batch. The positional convolution computes several
frames with one product. Query, key and value are computed by one product.

Source of the architecture: Baevski et al., wav2vec 2.0 (2020), §2; Hsu et al., HuBERT (2021); Babu et al., XLS-R
(2021). Tests, and `networks.py` on the first batch of every run, compare the numbers with those of the library.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

FAMILIES = ("wav2vec2", "hubert")
FRAMES_AT_ONCE = 4
"""Number of frames that one product of the positional convolution computes. With more frames, less of the input is
copied, but more zeros are multiplied (3 of 131 rows here). On 2 cores with AMX, the values 2, 4 and 8 take 9.4, 6.0
and 4.6 ms per utterance; 8 doubles the weights to 140 MB."""

AT_ONCE_ON_CPU = 1
"""Number of utterances that pass through the convolutions together on a CPU. The matrices of one utterance, 13 to
26 MB, are small enough for glibc to keep and reuse their memory; those of eight are returned to the system each time,
which took 1.5 times as long in bfloat16. After `common.machine.keep_freed_memory`, both take the same time."""


def unknown_part(model: Any) -> str | None:
    """The part of the library's model that this module cannot compute, in words; None if it can compute all of it."""
    config = model.config
    if config.model_type not in FAMILIES:
        return f"its architecture {config.model_type}"
    if getattr(config, "add_adapter", False) or getattr(config, "adapter_attn_dim", None) is not None:
        return "its adapters"
    if getattr(config, "conv_pos_batch_norm", False):
        return "its positional batch normalisation"
    if not getattr(config, "feat_proj_layer_norm", True):
        return "its projection without normalisation"
    return None


class Wav2Vec2(nn.Module):
    """Waveforms [B, n] → hidden states [B, L, T, D] of the requested layers, in the number type of the weights.

    Args:
        model: the library's model, for which `unknown_part` returned None. Its weights are shared, and those of query,
            key and value become views of one matrix; the model continues to work, and need not be kept.
        layers: names of hidden states, `last` or 0…depth, in the order of the output.
    """

    def __init__(self, model: Any, layers: Sequence[str]) -> None:
        super().__init__()
        encoder, norm_first = model.encoder, bool(model.config.do_stable_layer_norm)
        self.layers, self.dtype = tuple(layers), model.dtype
        self.extractor = ConvExtractor(model.feature_extractor.conv_layers)
        self.embedding = Embedding(model.feature_projection, encoder, norm_first)
        self.blocks = nn.ModuleList(Block(block, norm_first) for block in encoder.layers)
        self.last_norm = encoder.layer_norm if norm_first else nn.Identity()

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        x = self.embedding(self.extractor(waveforms.to(self.dtype)))
        states = {"0": x}
        for index, block in enumerate(self.blocks, start=1):
            x = block(x)
            if str(index) in self.layers:
                states[str(index)] = x
        if "last" in self.layers:
            states["last"] = self.last_norm(x)
        return torch.stack([states[layer] for layer in self.layers], dim=1)

    def compile_parts(self, **how: Any) -> None:
        """Compile what follows each convolution, the embedding and the blocks; `how` is passed to `torch.compile`.

        Each part is compiled as one graph, so that a part that cannot be compiled raises an error. All blocks share one
        compiled form, for one batch size. The products of the convolutions are not compiled, since they already run in
        the vendor's library.
        """
        for part in self.modules():
            if isinstance(part, Finish):
                part.compile(fullgraph=True, **how)  # after the second, for any number of rows
            elif isinstance(part, Embedding | Block):
                part.compile(fullgraph=True, dynamic=False, **how)


class ConvExtractor(nn.Module):
    """The strided convolutions: waveforms [B, n] → frames [B, T, C].

    Every utterance is padded so that it has P rows after the last convolution, and P times the following strides before
    it. The frames of the whole batch are then the rows of one matrix, and a window begins at every `stride`-th row. The
    rows beyond an utterance's last frame hold meaningless numbers, which no valid frame reads.
    """

    def __init__(self, conv_layers: Any) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(map(Convolution, conv_layers))
        self.widths = [layer.conv.kernel_size[0] for layer in conv_layers]
        self.strides = [layer.conv.stride[0] for layer in conv_layers]

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        at_once = AT_ONCE_ON_CPU if waveforms.device.type == "cpu" else len(waveforms)
        return torch.cat([self._frames(batch) for batch in waveforms.split(at_once)])

    def _frames(self, waveforms: torch.Tensor) -> torch.Tensor:
        n_utterances, n_samples = waveforms.shape
        lengths = self.lengths(n_samples)
        room = max(-(-length // math.prod(self.strides[i:])) for i, length in enumerate(lengths))
        x = F.pad(waveforms, (0, room * math.prod(self.strides) - n_samples)).view(-1, 1)
        for convolution, length in zip(self.convolutions, lengths[1:], strict=True):
            x = convolution(x, n_utterances, length)
        return x.view(n_utterances, room, -1)[:, : lengths[-1]]

    def lengths(self, n_samples: int) -> list[int]:
        """The number of samples, then the number of valid frames after each convolution."""
        lengths = [n_samples]
        for width, stride in zip(self.widths, self.strides, strict=True):
            lengths.append((lengths[-1] - width) // stride + 1)
        return lengths


class Convolution(nn.Module):
    """One convolution with its normalisation and activation: rows [B·P·stride, C] → [B·P, C'].

    A window of `stride` frames is one row of the reshaped matrix. A frame of the window beyond it, such as the third
    one of a convolution with width 3 and stride 2, is multiplied in a second product with the next row.
    """

    matrix_0: torch.Tensor
    bias: torch.Tensor

    def __init__(self, layer: Any) -> None:
        super().__init__()
        conv = layer.conv
        self.width, self.stride = conv.kernel_size[0], conv.stride[0]
        taps = conv.weight.detach().permute(2, 1, 0)  # [width, C, C']
        step = self.width if conv.in_channels == 1 else self.stride  # copying samples is cheaper than two products
        for index, first in enumerate(range(0, self.width, step)):
            self.register_buffer(f"matrix_{index}", taps[first : first + step].flatten(0, 1).contiguous())
        bias = conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels)
        self.register_buffer("bias", bias.detach())
        self.finish = Finish(layer)

    def forward(self, x: torch.Tensor, n_utterances: int, length: int) -> torch.Tensor:
        return self.finish(self._sums(x), n_utterances, length)

    def _sums(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        if channels == 1:
            windows = F.pad(x.view(-1), (0, self.width - self.stride)).unfold(0, self.width, self.stride)
            return torch.addmm(self.bias, windows, self.matrix_0)
        x = x.view(-1, self.stride * channels)
        y = torch.addmm(self.bias, x[:, : len(self.matrix_0)], self.matrix_0)
        for index in range(1, -(-self.width // self.stride)):
            matrix = self.get_buffer(f"matrix_{index}")
            y[:-index].addmm_(x[index:, : len(matrix)], matrix)
        return y


class Finish(nn.Module):
    """Normalisation and activation after a convolution: [B·P, C] → [B·P, C], with `length` valid frames of P."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.norm: Any = getattr(layer, "layer_norm", None)
        self.activation = layer.activation

    def forward(self, y: torch.Tensor, n_utterances: int, length: int) -> torch.Tensor:
        if isinstance(self.norm, nn.GroupNorm):
            y = self._over_time(y.view(n_utterances, -1, y.shape[1]), length).view_as(y)
        elif self.norm is not None:
            y = self.norm(y)
        return self.activation(y)

    def _over_time(self, frames: torch.Tensor, length: int) -> torch.Tensor:
        """Group normalisation with one group per channel, over the valid frames of each utterance [B, P, C]."""
        variance, mean = torch.var_mean(frames[:, :length].float(), dim=1, correction=0, keepdim=True)
        scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
        return (frames * scale + (self.norm.bias - mean * scale)).to(frames.dtype)


class Embedding(nn.Module):
    """The extractor's frames [B, T, C] → the input of block 1 [B, T, D], with the positional embedding added."""

    def __init__(self, projection: Any, encoder: Any, norm_first: bool) -> None:
        super().__init__()
        self.norm, self.projection = projection.layer_norm, projection.projection
        self.positions = PositionalConvolution(encoder.pos_conv_embed)
        self.last_norm = nn.Identity() if norm_first else encoder.layer_norm

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.projection(self.norm(frames))
        return self.last_norm(x + self.positions(x))


class PositionalConvolution(nn.Module):
    """The grouped convolution that computes the positional embedding: [B, T, D] → [B, T, D].

    The windows of F = FRAMES_AT_ONCE neighbouring frames overlap in all but F − 1 frames. Therefore one product
    computes them all from a window of width + F − 1: its matrix holds the kernel F times, each one frame lower
    (Toeplitz form).
    """

    matrix: torch.Tensor
    bias: torch.Tensor

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        conv = embedding.conv
        self.width, self.groups = conv.kernel_size[0], conv.groups
        self.activation = embedding.activation
        self.register_buffer("bias", conv.bias.detach())
        size = conv.in_channels // self.groups
        taps = conv.weight.detach().view(self.groups, size, size, self.width).permute(0, 3, 2, 1)  # [G, width, in, out]
        matrix = taps.new_zeros(self.groups, self.width + FRAMES_AT_ONCE - 1, size, FRAMES_AT_ONCE, size)
        for frame in range(FRAMES_AT_ONCE):
            matrix[:, frame : frame + self.width, :, frame] = taps
        self.register_buffer("matrix", matrix.view(self.groups, -1, FRAMES_AT_ONCE * size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (n_utterances, length, channels), size = x.shape, x.shape[2] // self.groups
        steps = -(-length // FRAMES_AT_ONCE)
        before = self.width // 2
        after = steps * FRAMES_AT_ONCE + self.width - 1 - before - length
        x = F.pad(x, (0, 0, before, after)).unflatten(2, (self.groups, size)).permute(2, 0, 1, 3)
        windows = x.unfold(2, self.width + FRAMES_AT_ONCE - 1, FRAMES_AT_ONCE)  # [G, B, steps, size, window]
        windows = windows.transpose(3, 4).reshape(self.groups, n_utterances * steps, -1)
        y = torch.bmm(windows, self.matrix).view(self.groups, n_utterances, steps * FRAMES_AT_ONCE, size)
        y = y.permute(1, 2, 0, 3).reshape(n_utterances, -1, channels)[:, :length]
        return self.activation(y + self.bias)


class Block(nn.Module):
    """A transformer block [B, T, D] → [B, T, D], normalising first (XLS-R) or last (base models)."""

    def __init__(self, block: Any, norm_first: bool) -> None:
        super().__init__()
        attention, feed_forward = block.attention, block.feed_forward
        self.heads, self.norm_first = attention.num_heads, norm_first
        self.query_key_value = _joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = attention.out_proj
        self.norm, self.final_norm = block.layer_norm, block.final_layer_norm
        self.widen, self.narrow = feed_forward.intermediate_dense, feed_forward.output_dense
        self.activation = feed_forward.intermediate_act_fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.norm_first:
            x = x + self._attend(self.norm(x))
            return x + self._feed_forward(self.final_norm(x))
        x = self.norm(x + self._attend(x))
        return self.final_norm(x + self._feed_forward(x))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(self.activation(self.widen(x)))


def _joined(*layers: nn.Linear) -> nn.Linear:
    """One linear layer that returns the outputs of several, concatenated; their parameters become views of its own."""
    joined = nn.Linear(1, 1, device="meta")
    for name in ("weight", "bias"):
        parts = [getattr(layer, name).detach() for layer in layers]
        whole = torch.cat(parts)
        setattr(joined, name, nn.Parameter(whole, requires_grad=False))
        for layer, part in zip(layers, whole.split([len(part) for part in parts]), strict=True):
            getattr(layer, name).data = part
    return joined
