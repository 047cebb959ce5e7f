"""The upper blocks of a speech model, or all of it, as a network that is trained together with a back-end.

"The library" is transformers. The modules are those of the library's model, which extraction uses too, so that an
encoder without any update continues a cache exactly where extraction ended. The library's own `forward` is not used: in
training mode it skips blocks, masks frames and drops values out as the checkpoint's configuration says, which is meant
for pre-training. Here, each of these happens only if it is asked for.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from spoofcache.features.encoder import LAST, EncoderSpec
from spoofcache.features.frontends.base import ZERO_MEAN_UNIT_VARIANCE
from spoofcache.features.frontends.geometry import random_model
from spoofcache.features.frontends.lora import LORA, add_lora
from spoofcache.features.frontends.ssl import zero_mean_unit_variance

MASK_LENGTH = 10
"""Number of frames in a masked span, as in wav2vec 2.0 (Baevski et al. 2020, section 4.2)."""


class Encoder(nn.Module):
    """Hidden states [B, T, D] that enter the first trainable block, or waveforms [B, n] → hidden states for a back-end.

    The output is [B, T, D], or [B, L, T, D] if the states are stacked. Parameters have the library's names below
    `encoder.`, or at the top of its model. In mode `lora`, the state contains only what is trained.

    Args:
        model: the library's model in float32 with all its blocks. Its modules become those of the encoder.
        spec: the description.
    """

    def __init__(self, model: Any, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.norm_first = bool(getattr(model.config, "do_stable_layer_norm", False))
        self.front = Front(model, spec, self.norm_first) if spec.takes_waveforms else None
        blocks = enumerate(model.encoder.layers)
        self.layers = nn.ModuleDict({str(index): block for index, block in blocks if index >= spec.n_frozen})
        self.layer_norm = model.encoder.layer_norm if self.norm_first and LAST in spec.layers_out else None
        is_mixed = len(spec.layers_out) > 1 and spec.combine == "sum"
        self.mix = nn.Parameter(torch.zeros(len(spec.layers_out))) if is_mixed else None
        _set_dropout(self, spec.dropout)
        if spec.mode == "lora":
            add_lora(self, spec.rank, spec.alpha)
            if self.mix is not None:
                self.mix.requires_grad_(True)
            self.register_state_dict_post_hook(_only_trained)
            self.register_load_state_dict_pre_hook(_with_frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states = dict(self._states(x if self.front is None else self.front(x)))
        wanted = [states[layer] for layer in self.spec.layers_out]
        if self.mix is not None:
            return torch.einsum("lbtd,l->btd", torch.stack(wanted), self.mix.softmax(0))
        return torch.stack(wanted, dim=1) if self.spec.combine == "stack" else wanted[0]

    def _states(self, x: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Every hidden state by its name, from the one that enters the first block to the model's output."""
        yield str(self.spec.n_frozen), x
        for index, block in enumerate(self.layers.values(), start=self.spec.n_frozen + 1):
            x = self._through(block, x)
            yield str(index), x
        yield LAST, x if self.layer_norm is None else self.layer_norm(x)

    def _through(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        def run(x: torch.Tensor) -> torch.Tensor:
            output = block(x)
            result: torch.Tensor = output[0] if isinstance(output, tuple) else output
            return result

        if self.training and torch.is_grad_enabled() and self.spec.gradient_checkpointing:
            y: torch.Tensor = checkpoint(run, x, use_reentrant=False)
        else:
            y = run(x)
        if self.training and self.spec.layer_drop:
            # computed and then ignored: every process has a gradient, if only zeros, for every parameter
            y = torch.where(torch.rand((), device=x.device) < self.spec.layer_drop, x.to(y.dtype), y)
        return y


class Front(nn.Module):
    """Waveforms [B, n] at 16 kHz → the hidden state [B, T, D] that enters the first block."""

    def __init__(self, model: Any, spec: EncoderSpec, norm_first: bool) -> None:
        super().__init__()
        self._is_normalised, self._mask_time = spec.normalize == ZERO_MEAN_UNIT_VARIANCE, spec.mask_time
        self.feature_extractor = model.feature_extractor
        self.feature_projection = model.feature_projection
        self.pos_conv_embed = model.encoder.pos_conv_embed
        self.layer_norm = None if norm_first else model.encoder.layer_norm
        self.dropout = model.encoder.dropout
        self.masked_spec_embed = getattr(model, "masked_spec_embed", None) if spec.mask_time else None
        if not spec.train_extractor:
            self.feature_extractor._freeze_parameters()

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        if self._is_normalised:
            waveforms = zero_mean_unit_variance(waveforms)
        projected = self.feature_projection(self.feature_extractor(waveforms).transpose(1, 2))
        x = projected[0] if isinstance(projected, tuple) else projected  # HuBERT's returns the states alone
        if self.training and self._mask_time:
            x = self._mask(x)
        x = x + self.pos_conv_embed(x)
        return self.dropout(x if self.layer_norm is None else self.layer_norm(x))

    def _mask(self, x: torch.Tensor) -> torch.Tensor:
        """Replace spans of frames, which may overlap, by the embedding of masked frames, or by zeros without one."""
        starts = torch.rand(x.shape[:2], device=x.device) < self._mask_time / MASK_LENGTH
        covered = F.max_pool1d(F.pad(starts.float(), (MASK_LENGTH - 1, 0))[:, None], MASK_LENGTH, stride=1)[:, 0] > 0
        embedding = torch.zeros((), dtype=x.dtype, device=x.device)
        if self.masked_spec_embed is not None:
            embedding = self.masked_spec_embed.to(x.dtype)
        return torch.where(covered[..., None], embedding, x)


def empty_encoder(spec: EncoderSpec) -> Encoder:
    """An encoder in mode `full` whose weights are zeros until they are loaded; no checkpoint is read."""
    from transformers import AutoConfig

    fields = {name: value for name, value in spec.model.items() if name != "model_type"}
    config = AutoConfig.for_model(spec.model["model_type"], **fields)
    with torch.device("meta"):  # the blocks below the boundary take neither memory nor time
        encoder = Encoder(random_model(config), spec)
    encoder.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    return encoder


def _set_dropout(encoder: nn.Module, probability: float) -> None:
    """Give every dropout the same probability: those that are modules, and those of the attention weights."""
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(getattr(module, "dropout", None), int | float):
            setattr(module, "dropout", probability)  # noqa: B010  # a number, which nn.Module does not declare


def _only_trained(encoder: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix) and not _is_trained(name.removeprefix(prefix))]:
        del state[name]


def _with_frozen(encoder: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]:
        if not _is_trained(name):
            state.setdefault(prefix + name, tensor)


def _is_trained(name: str) -> bool:
    """Whether an entry of an encoder in mode `lora` is trained."""
    return LORA in name or name == "mix"
