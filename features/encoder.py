"""The trainable part of a speech model, between a cache and a back-end: its description, and how it is opened.

A cache holds the hidden state that enters the first trainable block, or the waveform. Neither this file nor the
description imports torch or transformers until a speech model is opened.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.frontends.geometry import n_frames

if TYPE_CHECKING:
    from spoofcache.features.frontends.trainable import Encoder

WAVEFORM = "waveform"
LAST = "last"
FINE_TUNED = ("wav2vec2", "hubert", "data2vec-audio", "unispeech", "unispeech-sat")
"""Families in transformers whose blocks take nothing but a hidden state. Those of WavLM and of the Conformer share
relative positions between blocks, so that a block cannot run without the ones below it."""


@dataclass(frozen=True)
class EncoderSpec:
    """Everything that rebuilds the trainable part of a speech model, apart from its weights. All fields are JSON types.

    Attributes:
        name: name of the speech model on the hub or in the registry of front-ends; empty if only a folder is known.
        weights_sha256: hash of the checkpoint before the training, as in the identity of a cache; empty if it is not
            known, as for a published checkpoint that holds the trained weights only.
        normalize: normalisation of the waveform, one of NORMALIZATIONS. It matters for a waveform only.
        model: configuration of the model in transformers.
        trainable_from: number of blocks below the first trainable one, or `waveform` for the whole model.
        mode: `full` or `lora`.
        rank: rank of the LoRA matrices.
        alpha: the LoRA update is scaled by alpha / rank.
        layers_out: names of the hidden states that the back-end gets.
        combine: `sum` (several states are added with learnt weights) or `stack` (the back-end gets all of them).
        dropout: probability of every dropout.
        layer_drop: probability that a block is skipped for a batch in training.
        mask_time: share of the frames that are masked in training.
        gradient_checkpointing: compute the blocks again in the backward pass instead of keeping their activations.
        train_extractor: train the convolutions that take the waveform.
    """

    name: str
    weights_sha256: str
    normalize: str
    model: Mapping[str, Any]
    trainable_from: int | Literal["waveform"]
    mode: str = "full"
    rank: int = 8
    alpha: float = 16.0
    layers_out: tuple[str, ...] = (LAST,)
    combine: str = "sum"
    dropout: float = 0.0
    layer_drop: float = 0.0
    mask_time: float = 0.0
    gradient_checkpointing: bool = False
    train_extractor: bool = False

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> "EncoderSpec":
        """Inverse of `dataclasses.asdict`, also after a way through JSON; raises TypeError for other fields."""
        spec = cls(**{**fields, "layers_out": tuple(fields.get("layers_out", (LAST,)))})
        if not isinstance(spec.model, Mapping):
            raise TypeError(f"the configuration of the speech model is {str(spec.model)[:80]!r}")
        spec.require_supported()
        return spec

    @property
    def takes_waveforms(self) -> bool:
        return self.trainable_from == WAVEFORM

    @property
    def n_frozen(self) -> int:
        """Number of blocks that are not part of the encoder, because the cache holds their result."""
        return 0 if self.trainable_from == WAVEFORM else int(self.trainable_from)

    @property
    def norm_first(self) -> bool:
        """Whether the blocks normalise their input rather than their output, as those of XLS-R do."""
        return bool(self.model.get("do_stable_layer_norm", False))

    @property
    def depth(self) -> int:
        """Number of blocks of the whole model."""
        return int(self.model["num_hidden_layers"])

    def output_shape(self, row_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what the back-end gets, given that of a cached row: (T, D), or (L, T, D) for stacked states."""
        length = row_shape[0]
        if self.takes_waveforms:
            length = n_frames(length, self.model["conv_kernel"], self.model["conv_stride"])
        shape = (length, int(self.model["hidden_size"]))
        return (len(self.layers_out), *shape) if self.combine == "stack" else shape

    def require_supported(self) -> None:
        """Raise FrontEndError if the model's family, the boundary or a hidden state is not available."""
        where, family = self.name or "the speech model", self.model.get("model_type")
        if family not in FINE_TUNED:
            raise FrontEndError(
                f"{where}: a {family} model cannot be fine-tuned here; expected one of {', '.join(FINE_TUNED)}. A "
                "cache of its frozen hidden states can still be trained on, without [encoder]"
            )
        if self.model.get("add_adapter"):
            raise FrontEndError(f"{where}: its adapter behind the blocks cannot be fine-tuned; expected none")
        if self.n_frozen > self.depth:
            raise FrontEndError(
                f"{where} has {self.depth} blocks; expected encoder.trainable_from of at most {self.depth}, "
                f"not {self.trainable_from}"
            )
        if self.mode == "lora" and self.n_frozen == self.depth:
            raise FrontEndError(
                f"encoder.mode is lora, and no block of {where} is above encoder.trainable_from {self.trainable_from}; "
                f"expected less than {self.depth}"
            )
        known = (LAST, *map(str, range(self.n_frozen, self.depth + 1)))
        unknown = [layer for layer in self.layers_out if layer not in known]
        if unknown:
            raise FrontEndError(
                f"encoder.layers_out has {', '.join(unknown)}; {where} with encoder.trainable_from "
                f"{self.trainable_from} gives {LAST} and {self.n_frozen} to {self.depth}"
            )


def encoder_name(name: str, norm_first: bool) -> str:
    """The name in an Encoder of waveforms of a weight of the library's model, without any prefix.

    Args:
        name: such as `encoder.layers.0.attention.k_proj.weight`.
        norm_first: whether the blocks normalise first, which decides where the last normalisation stands.
    """
    inside = name.removeprefix("encoder.")
    is_behind_blocks = name.startswith("encoder.layers.") or (norm_first and name.startswith("encoder.layer_norm."))
    return inside if is_behind_blocks else f"front.{inside}"


def library_name_of(name: str) -> str:
    """The inverse of `encoder_name`."""
    inside = name.removeprefix("front.")
    is_in_encoder = inside == name or inside.startswith(("pos_conv_embed.", "layer_norm."))
    return f"encoder.{inside}" if is_in_encoder else inside


class Geometry(NamedTuple):
    """The configuration of a speech model in transformers, as JSON types, and its name in ARCHITECTURES or ""."""

    name: str
    configuration: dict[str, Any]


def read_geometry(place: str) -> Geometry:
    """The geometry of that name in ARCHITECTURES, or that of the `config.json` in that folder.

    Raises:
        FrontEndError: there is no such name or folder, or the folder has no readable configuration.
    """
    from spoofcache.features.frontends.geometry import ARCHITECTURES, configuration

    name = place if place in ARCHITECTURES else ""
    if not name and not Path(place).is_dir():
        known = ", ".join(ARCHITECTURES)
        raise FrontEndError(f"speech model {place!r}; expected a folder with a config.json, or {known}")
    from transformers import AutoConfig

    try:
        config = configuration(name) if name else AutoConfig.from_pretrained(place, local_files_only=True)
    except Exception as error:  # of any kind: transformers raises exceptions of its own
        reason = (str(error) or repr(error)).splitlines()[0]
        raise FrontEndError(f"{place}: no configuration of a speech model ({reason})") from error
    return Geometry(name, json.loads(config.to_json_string(use_diff=False)))


class Opened(NamedTuple):
    """A speech model whose upper part is going to be trained.

    Attributes:
        spec: its description.
        model: the model of transformers, in float32.
        folder: local folder that it was loaded from; None for the hub.
    """

    spec: EncoderSpec
    model: Any
    folder: Path | None

    def encoder(self) -> "Encoder":
        """The trainable part. It takes over the modules of `model`; LoRA matrices are drawn from torch's generator."""
        from spoofcache.features.frontends.trainable import Encoder

        return Encoder(self.model, self.spec)


def open_checkpoint(name: str, folder: Path | None, normalize: str | None, settings: Mapping[str, Any]) -> Opened:
    """Load the checkpoint of a speech model, and describe its trainable part.

    Args:
        name: registry name or `owner/name` of the hub. With a folder, it is only recorded.
        folder: folder of the checkpoint in the hub's format, instead of the hub.
        normalize: normalisation of the waveform; None for what the checkpoint says.
        settings: further fields of EncoderSpec.

    Raises:
        FrontEndError: the checkpoint cannot be loaded, or cannot be fine-tuned in this way.
    """
    from spoofcache.features.frontends.ssl import load_checkpoint, weights_sha256

    checkpoint = load_checkpoint(name, FrontEndOptions(weights=folder, normalize=normalize))
    model = checkpoint.model
    config = json.loads(model.config.to_json_string(use_diff=False))
    spec = EncoderSpec(name, weights_sha256(model), checkpoint.normalization, config, **settings)
    spec.require_supported()
    return Opened(spec, model, folder and folder.resolve())


def rebuild_encoder(spec: EncoderSpec, folder: Path | None) -> "Encoder":
    """The encoder of a run, whose weights are to be loaded next.

    A run in mode `full` holds all weights of its encoder, so that no checkpoint is needed. One in mode `lora` holds the
    LoRA matrices only: the others come from the checkpoint.

    Args:
        spec: the description in the run folder.
        folder: folder of the checkpoint; None for the hub.

    Raises:
        FrontEndError: the checkpoint cannot be loaded, or has other weights than the one that was fine-tuned.
    """
    if spec.mode == "full":
        from spoofcache.features.frontends.trainable import empty_encoder

        return empty_encoder(spec)
    from spoofcache.features.frontends.ssl import load_checkpoint, weights_sha256

    if folder is None and not spec.name:
        raise FrontEndError(
            "the run holds LoRA matrices only, and the folder of the speech model that they belong to was moved or "
            "removed; expected that folder with --weights"
        )
    checkpoint = load_checkpoint(spec.name, FrontEndOptions(weights=folder, normalize=spec.normalize))
    found = weights_sha256(checkpoint.model)
    if found != spec.weights_sha256:
        raise FrontEndError(
            f"{checkpoint.source}: the SHA-256 of its weights is {found[:12]}…; the run was fine-tuned from "
            f"{spec.weights_sha256[:12]}…"
        )
    return Opened(spec, checkpoint.model, folder).encoder()
