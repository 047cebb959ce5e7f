"""The geometry of the published speech models, and models of that geometry with random weights.

Shapes, sizes and speed are those of the published model; the numbers mean nothing. Sources of the sizes: wav2vec 2.0
(Baevski et al. 2020, section 4.2), XLS-R (Babu et al. 2021, section 4), HuBERT (Hsu et al. 2021, section IV-B), WavLM
(Chen et al. 2022, section IV-B), MMS (Pratap et al. 2023, section 4.1), Whisper (Radford et al. 2022, table 1), and the
configuration files that were published with the checkpoints.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

WHISPER, W2V_BERT = "whisper", "wav2vec2-bert"
"""Names in transformers of the families that take a spectrum instead of a waveform."""

LARGE: Mapping[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
}
WIDER: Mapping[str, Any] = {"num_hidden_layers": 48, "hidden_size": 1280, "intermediate_size": 5120}
WIDEST: Mapping[str, Any] = {"num_hidden_layers": 48, "hidden_size": 1920, "intermediate_size": 7680}


def _whisper(width: int, layers: int, heads: int, **further: Any) -> dict[str, Any]:
    """Settings of a Whisper model, whose decoder is as wide as its encoder and, if not stated otherwise, as deep."""
    sides = ("encoder", "decoder")
    return {
        "d_model": width,
        **{f"{side}_layers": layers for side in sides},
        **{f"{side}_attention_heads": heads for side in sides},
        **{f"{side}_ffn_dim": 4 * width for side in sides},
        "vocab_size": 51_865,
        **further,
    }


WHISPER_V3: Mapping[str, Any] = {"num_mel_bins": 128, "vocab_size": 51_866}


class Architecture(NamedTuple):
    """The name of a model's family in transformers, and the settings that differ from the defaults of transformers."""

    model_type: str
    settings: Mapping[str, Any]


ARCHITECTURES: Mapping[str, Architecture] = {
    "xls-r-300m": Architecture("wav2vec2", LARGE),
    "xls-r-1b": Architecture("wav2vec2", {**LARGE, **WIDER}),
    "xls-r-2b": Architecture("wav2vec2", {**LARGE, **WIDEST}),
    "wav2vec2-base": Architecture("wav2vec2", {}),
    "wav2vec2-large": Architecture(
        "wav2vec2", {**LARGE, "feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False}
    ),
    "hubert-base": Architecture("hubert", {}),
    "hubert-large": Architecture("hubert", {**LARGE, "conv_bias": False}),
    "wavlm-base": Architecture("wavlm", {}),
    "wavlm-large": Architecture("wavlm", {**LARGE, "conv_bias": False}),
    "mms-300m": Architecture("wav2vec2", LARGE),
    "mms-1b": Architecture("wav2vec2", {**LARGE, **WIDER}),
    "w2v-bert-2.0": Architecture(W2V_BERT, {"hidden_act": "swish", "position_embeddings_type": "relative_key"}),
    "whisper-tiny": Architecture(WHISPER, _whisper(384, 4, 6)),
    "whisper-base": Architecture(WHISPER, _whisper(512, 6, 8)),
    "whisper-small": Architecture(WHISPER, _whisper(768, 12, 12)),
    "whisper-medium": Architecture(WHISPER, _whisper(1024, 24, 16)),
    "whisper-large": Architecture(WHISPER, _whisper(1280, 32, 20)),
    "whisper-large-v2": Architecture(WHISPER, _whisper(1280, 32, 20)),
    "whisper-large-v3": Architecture(WHISPER, _whisper(1280, 32, 20, **WHISPER_V3)),
    "whisper-large-v3-turbo": Architecture(WHISPER, _whisper(1280, 32, 20, **WHISPER_V3, decoder_layers=4)),
    "data2vec-audio-base": Architecture("data2vec-audio", {}),
    "unispeech-large": Architecture("unispeech", LARGE),
    "unispeech-sat-base": Architecture("unispeech-sat", {}),
    "wav2vec2-conformer-large": Architecture(
        "wav2vec2-conformer", {**LARGE, "position_embeddings_type": "rotary", "hidden_act": "swish"}
    ),
}


def configuration(architecture: str, **overrides: Any) -> Any:
    """The configuration of an architecture in transformers; `overrides` replace the values of its fields."""
    from transformers import AutoConfig  # takes seconds to import, and only some commands need it

    model_type, settings = ARCHITECTURES[architecture]
    return AutoConfig.for_model(model_type, **{**settings, **overrides})


def random_model(config: Any) -> Any:
    """The model of transformers with that configuration, initialised at random from torch's global generator."""
    from transformers import AutoModel

    return AutoModel.from_config(config)


def n_bytes(config: Any) -> int:
    """Size in bytes of a model's weights in float32; none of them is allocated."""
    import torch

    with torch.device("meta"):
        model = random_model(config)
    return sum(parameter.numel() * 4 for parameter in model.parameters())


def n_frames(n_samples: int, widths: Iterable[int], strides: Iterable[int]) -> int:
    """Number of frames of a waveform of `n_samples`: each convolution turns n into ⌊(n − width)/stride⌋ + 1.

    Widths and strides are `conv_kernel` and `conv_stride` of a configuration in transformers.
    """
    for width, stride in zip(widths, strides, strict=True):
        n_samples = (n_samples - width) // stride + 1
    return n_samples


def normalises(config: Any) -> bool:
    """Whether the published models of this geometry take waveforms of zero mean and unit variance.

    Those with layer normalisation in the convolutions do; those with group normalisation and those that take a spectrum
    do not.
    """
    if config.model_type in (WHISPER, W2V_BERT):
        return False
    return bool(getattr(config, "feat_extract_norm", "layer") == "layer")  # data2vec always has layer normalisation
