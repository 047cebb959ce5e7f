"""A wav2vec 2.0 model in plain PyTorch whose modules are nested and named as in facebookresearch/fairseq.

It is written from the architecture (Baevski et al. 2020, section 2) and from the names in published checkpoints, and
shares no code with SpoofCache or transformers, so that its outputs are those which an imported checkpoint must have.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

STRIDES, WIDTHS = (5, 2, 2, 2, 2, 2, 2), (10, 3, 3, 3, 3, 2, 2)
SIZES = {"width": 32, "heads": 4, "feed_forward": 48, "channels": 16, "depth": 3, "positions": 16, "groups": 4}
"""Those of `tests.features.frontends.conftest.TINY`."""


class Transposed(nn.Module):
    """A layer normalisation of channels [B, C, T], which is the second of three modules in fairseq."""

    def __init__(self, channels):
        super().__init__()
        self.add_module("1", nn.LayerNorm(channels))

    def forward(self, x):
        return getattr(self, "1")(x.transpose(1, 2)).transpose(1, 2)


class Convolutions(nn.Module):
    def __init__(self, channels, layer_norm):
        super().__init__()
        self.conv_layers = nn.ModuleList()
        for index, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
            convolution = nn.Conv1d(channels if index else 1, channels, width, stride, bias=layer_norm)
            norms = [Transposed(channels)] if layer_norm else [nn.GroupNorm(channels, channels)] * (index == 0)
            self.conv_layers.append(nn.Sequential(convolution, nn.Dropout(0.0), *norms, nn.GELU()))

    def forward(self, waveforms):
        x = waveforms[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        query, key, value = (each(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for each in self.inputs())
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        return self.out_proj((weights @ value).transpose(1, 2).flatten(2))

    def inputs(self):
        return self.q_proj, self.k_proj, self.v_proj


class Layer(nn.Module):
    def __init__(self, sizes, norm_first):
        super().__init__()
        width, self.norm_first = sizes["width"], norm_first
        self.self_attn = Attention(width, sizes["heads"])
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, sizes["feed_forward"]), nn.Linear(sizes["feed_forward"], width)

    def forward(self, x):
        if self.norm_first:
            x = x + self.self_attn(self.self_attn_layer_norm(x))
            return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        x = self.self_attn_layer_norm(x + self.self_attn(x))
        return self.final_layer_norm(x + self.fc2(F.gelu(self.fc1(x))))


class Blocks(nn.Module):
    def __init__(self, sizes, norm_first, old_form):
        super().__init__()
        width, size, self.norm_first = sizes["width"], sizes["positions"], norm_first
        convolution = nn.Conv1d(width, width, size, padding=size // 2, groups=sizes["groups"])
        norm = nn.utils.weight_norm if old_form else parametrizations.weight_norm
        self.pos_conv = nn.Sequential(norm(convolution, dim=2))
        self.layers = nn.ModuleList(Layer(sizes, norm_first) for _ in range(sizes["depth"]))
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x):
        x = x + F.gelu(self.pos_conv(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
        states = [x if self.norm_first else self.layer_norm(x)]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states[1:], self.layer_norm(states[-1]) if self.norm_first else states[-1]


class FairseqModel(nn.Module):
    """Waveforms [B, n] → the raw outputs of all blocks, and the last hidden state, each [B, T, D].

    Args:
        norm_first: the form of XLS-R; otherwise that of the base models.
        old_form: the weight normalisation of torch before 2.1, as in all published checkpoints.
    """

    def __init__(self, norm_first=True, old_form=True, **sizes):
        super().__init__()
        sizes = SIZES | sizes
        width, channels = sizes["width"], sizes["channels"]
        self.mask_emb = nn.Parameter(torch.rand(width))
        self.feature_extractor = Convolutions(channels, layer_norm=norm_first)
        self.post_extract_proj, self.layer_norm = nn.Linear(channels, width), nn.LayerNorm(channels)
        self.project_q, self.final_proj = nn.Linear(8, 8), nn.Linear(width, 8)
        self.quantizer = nn.ParameterDict({"vars": torch.rand(1, 4, 8)})
        self.encoder = Blocks(sizes, norm_first, old_form)
        for parameter in self.parameters():  # so that neighbouring layers differ by far more than rounding
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.1)

    def forward(self, waveforms):
        return self.encoder(self.post_extract_proj(self.layer_norm(self.feature_extractor(waveforms))))
