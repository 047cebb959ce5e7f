"""The names of a wav2vec 2.0 or HuBERT model's weights in fairseq → those in transformers.

Published countermeasures that were fine-tuned together with their speech model keep its weights under fairseq's names.
The correspondence is that of transformers' own conversion script for wav2vec 2.0,
`convert_wav2vec2_original_pytorch_checkpoint_to_pytorch.py`; the architecture is that of facebookresearch/fairseq,
`fairseq/models/wav2vec/wav2vec2.py`. Names that are those of transformers already stay as they are.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

PRETRAINING = (
    "quantizer.",
    "input_quantizer.",
    "project_q.",
    "project_inp.",
    "final_proj.",
    "target_glu.",
    "label_embs_concat",
    "project_hid.",
)
"""What the names begin with that only pre-training uses, in fairseq and transformers."""

MASK = "masked_spec_embed"
LAST_NORM = "encoder.layer_norm."

RENAMED = tuple(
    (re.compile(f"^{pattern}"), name)
    for pattern, name in (
        (r"mask_emb$", MASK),
        (r"post_extract_proj\.", "feature_projection.projection."),
        (r"layer_norm\.", "feature_projection.layer_norm."),
        (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
        # layer normalisation is the second of three modules, between two transpositions; group normalisation is alone
        (r"feature_extractor\.conv_layers\.(\d+)\.2\.(1\.)?", r"feature_extractor.conv_layers.\1.layer_norm."),
        (r"encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
        (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
        (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
        (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
        (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
    )
)
"""Beginnings of names in fairseq, and what they are in transformers."""

WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""The length and the direction of a weight in the earlier and the later weight normalisation of torch."""

FIRST_BLOCK = re.compile(r"(?P<prefix>(?:.*\.)?)encoder\.layers\.0\.(self_attn|attention)\.k_proj\.weight")
"""A weight that every such model has, and no other part of a countermeasure."""


class Renamed(NamedTuple):
    """Tensors by their names in the model of transformers, and the names of those that only pre-training uses."""

    weights: dict[str, Any]
    pretraining: tuple[str, ...]


def speech_model_prefixes(names: Iterable[str]) -> list[str]:
    """What the names of a speech model's weights begin with, such as `module.ssl_model.model.`, for each such model."""
    found = (FIRST_BLOCK.fullmatch(name) for name in names)
    return [match["prefix"] for match in found if match]


def library_name(name: str) -> str:
    """The name in transformers of a weight of fairseq, without any prefix.

    >>> library_name("encoder.layers.3.fc1.bias")
    'encoder.layers.3.feed_forward.intermediate_dense.bias'
    """
    for pattern, replacement in RENAMED:
        name, is_found = pattern.subn(replacement, name)
        if is_found:
            break
    module, dot, last = name.rpartition(".")
    return f"{module}{dot}{WEIGHT_NORM.get(last, last)}"


def rename(state: Mapping[str, Any]) -> Renamed:
    """Rename a speech model's tensors, whose names have no prefix any more, as in transformers."""
    pretraining = tuple(name for name in state if name.startswith(PRETRAINING))
    return Renamed({library_name(name): each for name, each in state.items() if name not in pretraining}, pretraining)
