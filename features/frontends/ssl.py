"""Hidden states of self-supervised speech models: the wav2vec 2.0, HuBERT and WavLM families and their relatives,
w2v-BERT 2.0 and the encoders of Whisper.

Hidden states have names, which do not depend on positions in a list: `last` is the model's `last_hidden_state`, `k` is
the raw output of block k, and `0` is the input of block 1.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from spoofcache.features.frontends.base import (
    PRECISION_NAMES,
    ZERO_MEAN_UNIT_VARIANCE,
    Blocks,
    FrontEnd,
    FrontEndError,
    FrontEndOptions,
)
from spoofcache.features.frontends.geometry import ARCHITECTURES, W2V_BERT, WHISPER
from spoofcache.features.frontends.hub import HUB_NAMES, Source, checkpoint_source
from spoofcache.features.frontends.inputs import Waveforms
from spoofcache.features.frontends.networks import CheckedNetwork
from spoofcache.features.frontends.statements import preparation_of, require_family, require_frame_rate

PRECISIONS: Mapping[str, torch.dtype] = {name: getattr(torch, name) for name in PRECISION_NAMES}
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
"""Settings of a configuration that change the numbers but cannot be seen in the shapes of the weights."""

SETTINGS_OF_FAMILY: Mapping[str, tuple[str, ...]] = {
    "wav2vec2-conformer": ("position_embeddings_type", "rotary_embedding_base"),
    W2V_BERT: (
        *("position_embeddings_type", "rotary_embedding_base"),
        *("left_max_position_embeddings", "right_max_position_embeddings"),
    ),
    WHISPER: ("activation_function",),
}
"""Further such settings, by family."""


class Checkpoint(NamedTuple):
    """A loaded speech model.

    Attributes:
        source: where it came from, for messages.
        model: the base model of transformers, in float32; of Whisper, its encoder.
        normalization: how it expects waveforms to be normalised, one of NORMALIZATIONS.
        model_input: what it takes, computed from normalised waveforms.
    """

    source: str
    model: Any
    normalization: str
    model_input: Waveforms = Waveforms()


class HiddenStates(FrontEnd):
    """Waveform [n] → hidden states [T, D] of one layer, or [L, T, D] of several; T = 201 for 64,600 samples.

    Only the blocks up to the highest requested layer are kept.

    Args:
        name: key of HUB_NAMES, or the hub's `owner/name`.
        options: layers, weights, normalisation, precision, device and check.
        checkpoint: a loaded model, which is modified; None loads the one that the name and the options determine.

    Raises:
        FrontEndError: the checkpoint cannot be loaded, is of another family or is incomplete, or a layer is unknown.
    """

    def __init__(self, name: str, options: FrontEndOptions, checkpoint: Checkpoint | None = None) -> None:
        self._name, self._device = name, options.device
        self._precision = options.precision or ("float16" if options.device.type == "cuda" else "float32")
        source, model, normalization, self._input = checkpoint or load_checkpoint(name, options)
        family = ARCHITECTURES[name].model_type if name in HUB_NAMES else model.config.model_type
        if model.config.model_type != family:
            raise FrontEndError(f"{source}: a {model.config.model_type} model; {name} expects one of {family}")
        self._layers = named_layers(name, options.layers, model.config.num_hidden_layers)
        self.blocks = blocks_of(self._layers, model.config.num_hidden_layers)
        self._normalize = options.normalize or normalization
        self._weights_sha256 = weights_sha256(model)
        self.slug = slug_of(name, self._layers)
        self.weights = options.weights and options.weights.resolve()
        self._network = CheckedNetwork(
            model,
            self._layers,
            PRECISIONS[self._precision],
            options,
            lambda said: options.tell(f"{name}: {said}"),
            self._input,
        )

    def settings(self) -> Mapping[str, Any]:
        return {
            "name": self._name,
            "weights_sha256": self._weights_sha256,
            "layers": list(self._layers),
            "normalize": self._normalize,
            "precision": self._precision,
            **({"input": dict(of_input)} if (of_input := self._input.settings()) else {}),
        }

    @torch.inference_mode()
    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        waveforms = waveforms.to(self._device)
        if self._normalize == ZERO_MEAN_UNIT_VARIANCE:
            waveforms = zero_mean_unit_variance(waveforms)
        features = self._network(waveforms).float()
        return features if len(self._layers) > 1 else features[:, 0]

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        with torch.inference_mode():
            shape = self._network.row_shape(n_samples)
        return shape if len(self._layers) > 1 else shape[1:]


def named_layers(name: str, layers: Sequence[str], depth: int) -> tuple[str, ...]:
    """The layers of a model with `depth` blocks that an option names: `last` if it is empty, 0…depth for `all` alone.

    Raises:
        FrontEndError: a layer is neither `last` nor 0…depth, or is named twice.
    """
    if not layers:
        return ("last",)
    if tuple(layers) == ("all",):
        return tuple(map(str, range(depth + 1)))
    known = ("last", *map(str, range(depth + 1)))
    for layer in layers:
        if layer not in known:
            raise FrontEndError(f"layer {layer!r} of {name}; expected last or 0…{depth}")
    if len(set(layers)) < len(layers):
        raise FrontEndError(f"layers {' '.join(layers)}; expected each one once")
    return tuple(layers)


def blocks_of(layers: Sequence[str], depth: int) -> Blocks:
    """The blocks that named layers need: those up to the highest one."""
    return Blocks(max(depth if layer == "last" else int(layer) for layer in layers), depth)


def slug_of(name: str, layers: Sequence[str]) -> str:
    """Readable name of a front-end for the cache's folder: `xls-r-300m-last`, `xls-r-300m-l5-l9`."""
    return "-".join((name.replace("/", "-"), *(f"l{layer}" if layer != "last" else layer for layer in layers)))


def zero_mean_unit_variance(waveforms: torch.Tensor) -> torch.Tensor:
    """(x − mean) / √(var + 1e-7) over each padded waveform [B, n], population variance.

    This is what `Wav2Vec2FeatureExtractor` computes when `do_normalize` is set; 1e-7 is its constant.
    """
    variance, mean = torch.var_mean(waveforms, dim=1, correction=0, keepdim=True)
    return (waveforms - mean) / (variance + 1e-7).sqrt()


def weights_sha256(model: nn.Module) -> str:
    """Hash of everything that the model computes with: names, shapes and float32 values of all its tensors, and the
    settings that they do not show. It is the same for the hub and a folder, for safetensors and pickled files."""
    digest = hashlib.sha256()
    config: Any = model.config
    for setting in (*SHAPELESS_SETTINGS, *SETTINGS_OF_FAMILY.get(config.model_type, ())):
        digest.update(f"{setting}={_plain(getattr(config, setting, None))}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name not in TRAINING_ONLY:
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def load_checkpoint(name: str, options: FrontEndOptions) -> Checkpoint:
    """The checkpoint in `options.weights`, or that of the hub.

    Raises:
        FrontEndError: the checkpoint cannot be reached or loaded, is of another family, needs its own program code, is
            incomplete, takes another sample rate, has another frame rate, or does not state its normalisation or what
            it takes.
    """
    source = checkpoint_source(name, options)
    model = encoder_of(_load_model(source))
    require_frame_rate(source.name, model.config)
    normalization, model_input = preparation_of(source, model.config, options.normalize)
    return Checkpoint(source.name, model, normalization, model_input)


def encoder_of(model: Any) -> Any:
    """The part of the library's base model that has the hidden states: of Whisper its encoder, else the whole."""
    return model.encoder if model.config.model_type == WHISPER else model


def _load_model(source: Source) -> Any:
    """The base model in float32, every weight from the checkpoint."""
    from huggingface_hub.utils import enable_progress_bars
    from transformers import AutoModel, PretrainedConfig  # takes seconds to import, and only extractions need it
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()  # progress bars of downloads, which the line above also switches off
    name, where = source.name, {"local_files_only": source.only_local}
    try:
        require_family(name, PretrainedConfig.get_config_dict(name, **where)[0])
        # float32 is requested explicitly: a checkpoint that was saved in float16 would stay float16
        model, info = AutoModel.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, **where
        )
    except FrontEndError:
        raise
    except Exception as error:  # transformers, pickle and safetensors each raise exceptions of their own
        reason = (str(error) or repr(error)).splitlines()[0]
        raise FrontEndError(
            f"{name}: cannot be loaded ({reason}); expected a checkpoint in the hub's format. If the hub cannot be "
            "reached, give the checkpoint's local folder with --weights"
        ) from error
    missing = sorted(set(info["missing_keys"]) - TRAINING_ONLY)
    if missing:  # transformers would initialise them at random
        raise FrontEndError(f"{name}: {len(missing)} weights are missing ({', '.join(missing[:3])} …); expected all")
    return model
