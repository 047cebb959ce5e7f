"""Hidden states of self-supervised speech models: the wav2vec 2.0, HuBERT and WavLM families in the hub's format.

Hidden states go by name, never by position: `last` is the model's `last_hidden_state`, `k` the raw output of block
k, `0` the input of block 1.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from spoofcache.features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from spoofcache.features.frontends.networks import CheckedNetwork
from spoofcache.features.waveform import NORMALIZATIONS

HUB_NAMES: Mapping[str, str] = {
    "xls-r-300m": "facebook/wav2vec2-xls-r-300m",
    "xls-r-1b": "facebook/wav2vec2-xls-r-1b",
    "xls-r-2b": "facebook/wav2vec2-xls-r-2b",
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wav2vec2-large": "facebook/wav2vec2-large",
    "hubert-base": "facebook/hubert-base-ls960",
    "hubert-large": "facebook/hubert-large-ll60k",
    "wavlm-base": "microsoft/wavlm-base",
    "wavlm-large": "microsoft/wavlm-large",
}
FAMILIES = ("wav2vec2", "hubert", "wavlm")
PRECISIONS: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
TRAINING_ONLY = {"masked_spec_embed"}
"""Tensors that a published checkpoint may lack, since they are used in pre-training only."""

SHAPELESS_SETTINGS = (
    "model_type",
    "hidden_act",
    "feat_extract_activation",
    "feat_extract_norm",
    "do_stable_layer_norm",
    "conv_stride",
    "num_attention_heads",
    "layer_norm_eps",
    "max_bucket_distance",
)
"""Configuration that changes the numbers and cannot be seen in the shapes of the weights."""


class HiddenStates(FrontEnd):
    """Waveform [n] → hidden states [T, D] of one layer, or [L, T, D] of several; T = 201 for 64,600 samples.

    Only the blocks up to the highest layer asked for are kept.

    Raises:
        FrontEndError: a checkpoint that cannot be loaded, is of another family or lacks weights; an unknown layer.
    """

    def __init__(self, name: str, options: FrontEndOptions) -> None:
        self._name = name
        self._layers = options.layers or ("last",)
        self._precision = options.precision or ("float16" if options.device.type == "cuda" else "float32")
        self._device = options.device
        if options.weights and not options.weights.is_dir():  # the library would look for it on the hub
            raise FrontEndError(f"{options.weights}: no such folder; expected a checkpoint in the hub's format")
        source = str(options.weights or HUB_NAMES.get(name, name))
        model = _load_model(source)
        family = next((family for family in FAMILIES if name.startswith(family)), FAMILIES[0])
        if name in HUB_NAMES and model.config.model_type != family:
            raise FrontEndError(f"{source}: a {model.config.model_type} model; {name} expects one of {family}")
        self._check_layers(model.config.num_hidden_layers)
        self._normalize = options.normalize or _normalization_of(source)
        self._weights_sha256 = weights_sha256(model)
        self.slug = "-".join((name.replace("/", "-"), *(f"l{k}" if k != "last" else k for k in self._layers)))
        self._network = CheckedNetwork(
            model, self._layers, PRECISIONS[self._precision], options, lambda said: options.tell(f"{name}: {said}")
        )

    def _check_layers(self, depth: int) -> None:
        known = ("last", *map(str, range(depth + 1)))
        for layer in self._layers:
            if layer not in known:
                raise FrontEndError(f"layer {layer!r} of {self._name}; expected last or 0…{depth}")
        if len(set(self._layers)) < len(self._layers):
            raise FrontEndError(f"layers {' '.join(self._layers)}; expected each one once")

    def settings(self) -> Mapping[str, Any]:
        return {
            "name": self._name,
            "weights_sha256": self._weights_sha256,
            "layers": list(self._layers),
            "normalize": self._normalize,
            "precision": self._precision,
        }

    @torch.inference_mode()
    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        waveforms = waveforms.to(self._device)
        if self._normalize == "zero-mean-unit-variance":
            waveforms = zero_mean_unit_variance(waveforms)
        features = self._network(waveforms).float()
        return features if len(self._layers) > 1 else features[:, 0]

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        with torch.inference_mode():
            shape = self._network.row_shape(n_samples)
        return shape if len(self._layers) > 1 else shape[1:]


def zero_mean_unit_variance(waveforms: torch.Tensor) -> torch.Tensor:
    """(x − mean) / √(var + 1e-7) over each padded waveform [B, n], population variance.

    What `Wav2Vec2FeatureExtractor` does when `do_normalize` is set; 1e-7 is its constant.
    """
    variance, mean = torch.var_mean(waveforms, dim=1, correction=0, keepdim=True)
    return (waveforms - mean) / (variance + 1e-7).sqrt()


def weights_sha256(model: nn.Module) -> str:
    """Hash of what the model computes with: names, shapes and float32 values of all its tensors, and the settings
    that they do not show. The same for hub and local folder, for safetensors and pickled files."""
    digest = hashlib.sha256()
    for setting in SHAPELESS_SETTINGS:
        digest.update(f"{setting}={_plain(getattr(model.config, setting, None))}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name not in TRAINING_ONLY:
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _load_model(source: str) -> Any:
    """The base model in float32, every weight from the checkpoint."""
    from huggingface_hub.utils import enable_progress_bars
    from transformers import AutoConfig, AutoModel  # seconds to import: only who extracts pays
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()  # of downloads: the line above silences them too
    try:
        family = AutoConfig.from_pretrained(source).model_type
        if family not in FAMILIES:
            raise FrontEndError(f"{source}: a {family} model; expected one of {', '.join(FAMILIES)}")
        # the type is asked for by name: a checkpoint saved in float16 would stay float16
        model, info = AutoModel.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
    except FrontEndError:
        raise
    except Exception as error:  # of any kind: the library, pickle and safetensors each have their own
        reason = (str(error) or repr(error)).splitlines()[0]
        raise FrontEndError(
            f"{source}: cannot be loaded ({reason}); expected a checkpoint in the hub's "
            "format. Where the hub cannot be reached give its folder with --weights"
        ) from error
    missing = sorted(set(info["missing_keys"]) - TRAINING_ONLY)
    if missing:  # the library would initialise them at random
        raise FrontEndError(f"{source}: {len(missing)} weights are missing ({', '.join(missing[:3])} …); expected all")
    return model


def _normalization_of(source: str) -> str:
    """What the checkpoint's own feature extractor does."""
    from transformers import Wav2Vec2FeatureExtractor

    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise FrontEndError(
            f"{source}: no preprocessor_config.json to say whether the waveform is normalised; "
            f"expected one, or --normalize {'|'.join(NORMALIZATIONS)}"
        ) from error
    return "zero-mean-unit-variance" if extractor.do_normalize else "none"
