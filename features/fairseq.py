"""The names of a wav2vec 2.0 or HuBERT model's weights in fairseq → those in transformers.

Published countermeasures that were fine-tuned together with their speech model keep its weights under fairseq's names.
The correspondence is that of transformers' own conversion script for wav2vec 2.0,
`convert_wav2vec2_original_pytorch_checkpoint_to_pytorch.py`; the architecture is that of facebookresearch/fairseq,
`fairseq/models/wav2vec/wav2vec2.py`. Names that are those of transformers already stay as they are.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
"""Prefixes of the names of weights that only pre-training uses, in fairseq and transformers."""

MASK = "masked_spec_embed"
LAST_NORM = "encoder.layer_norm."

RENAMED = (
    ("post_extract_proj.", "feature_projection.projection."),
    ("layer_norm.", "feature_projection.layer_norm."),
    ("feature_extractor.conv_layers.#.0.", "feature_extractor.conv_layers.#.conv."),
    # layer normalisation is the second of three modules, between two transpositions; group normalisation is alone
    ("feature_extractor.conv_layers.#.2.1.", "feature_extractor.conv_layers.#.layer_norm."),
    ("feature_extractor.conv_layers.#.2.", "feature_extractor.conv_layers.#.layer_norm."),
    ("encoder.pos_conv.0.", "encoder.pos_conv_embed.conv."),
    ("encoder.layers.#.self_attn.", "encoder.layers.#.attention."),
    ("encoder.layers.#.self_attn_layer_norm.", "encoder.layers.#.layer_norm."),
    ("encoder.layers.#.fc1.", "encoder.layers.#.feed_forward.intermediate_dense."),
    ("encoder.layers.#.fc2.", "encoder.layers.#.feed_forward.output_dense."),
    ("mask_emb", MASK),
)
"""Beginnings of names in fairseq, and what they are in transformers; # stands for a number."""

WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
"""The length and the direction of a weight in the earlier and the later weight normalisation of torch."""

FIRST_BLOCK = re.compile(r"(?P<prefix>(?:.*\.)?)encoder\.layers\.0\.(?P<attention>self_attn|attention)\.k_proj\.weight")
"""A weight that every such model has, and no other part of a countermeasure; `self_attn` is fairseq's name."""


class Found(NamedTuple):
    """A speech model in a table of tensors.

    Attributes:
        prefix: what the names of its weights begin with, such as `module.ssl_model.model.`.
        is_fairseq: whether the names behind the prefix are those of fairseq rather than transformers.
    """

    prefix: str
    is_fairseq: bool


def find_speech_models(names: Iterable[str]) -> list[Found]:
    """Every speech model whose weights are among tensors with these names."""
    found = (FIRST_BLOCK.fullmatch(name) for name in names)
    return [Found(match["prefix"], match["attention"] == "self_attn") for match in found if match]


def library_name(name: str) -> str:
    """The name in transformers of a weight of fairseq, without any prefix.

    >>> library_name("encoder.layers.3.fc1.bias")
    'encoder.layers.3.feed_forward.intermediate_dense.bias'
    """
    return _translated(name, RENAMED, WEIGHT_NORM)


def fairseq_name(name: str) -> str:
    """The name in fairseq of a weight in transformers: the inverse of `library_name`, for weights of XLS-R's form.

    >>> fairseq_name("encoder.layers.3.feed_forward.intermediate_dense.bias")
    'encoder.layers.3.fc1.bias'
    """
    pairs = [(library, fairseq) for fairseq, library in RENAMED]
    return _translated(name, pairs, {new: old for old, new in WEIGHT_NORM.items()})


def _translated(name: str, pairs: Iterable[tuple[str, str]], endings: Mapping[str, str]) -> str:
    for ending, replacement in endings.items():
        if name.endswith(f".{ending}"):
            name = f"{name.removesuffix(ending)}{replacement}"
            break
    for beginning, replacement in pairs:
        pattern = re.escape(beginning).replace(re.escape("#"), r"(\d+)")
        renamed, is_found = re.subn(f"^{pattern}", replacement.replace("#", r"\1"), name)
        if is_found:
            return renamed
    return name
