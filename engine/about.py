"""The description of a network, `model.json`: what rebuilds it and its score, and what refuses other features."""

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from spoofcache.common.errors import InputError
from spoofcache.common.plugins import EXPECTED, PluginChanged, PluginError, find_part, origins
from spoofcache.engine.description import require_types
from spoofcache.features.encoder import EncoderSpec
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES
from spoofcache.protocols.trial import CLASS_INDEX

Part = TypeVar("Part")

FORMAT_VERSION = 2
VERSIONS = (1, FORMAT_VERSION)
"""Versions that can be read. Version 1 had no `loss` (it was always the default) and no average."""


class RunError(InputError):
    """A run folder or a training that cannot go on; the message says what was expected."""


@dataclass(frozen=True)
class About:
    """What a set of weights is: enough to rebuild the network and its score, and to refuse other features.

    `settings` are the back-end's. `epoch`, `dev_eer` and `dev_loss` are None where the weights were trained
    elsewhere; `versions` then tells from which file they came. `trained_on` names partitions, `corpus/partition`, and
    `corpus/partition+effect` where augmented views of one were drawn; it is empty where nobody said.
    `plugins` are the parts of the user's own among back-end and loss, `package.module:Name` → hash of their source.
    `data` stands for the trials and features of `train` and `dev`, view by view; two runs of the same have it equal.
    `speech_model` are the fields of an EncoderSpec where a part of the speech model was trained too, otherwise empty.
    `weights_sha256` is the SHA-256 of the weights' file; empty in runs of earlier versions, which are not checked.
    """

    format_version: int
    backend: str
    settings: Mapping[str, Any]
    feature_shape: tuple[int, ...]
    identity: Mapping[str, Any]
    class_index: Mapping[str, int]
    epoch: int | None
    dev_eer: float | None
    dev_loss: float | None
    versions: Mapping[str, str]
    loss: str = "cross_entropy"
    loss_settings: Mapping[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: str = field(default="", compare=False)
    speech_model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> EncoderSpec | None:
        """The part of the speech model that was trained; None if the back-end takes the features as they are."""
        return EncoderSpec.from_mapping(self.speech_model) if self.speech_model else None

    def front_end_weights(self, folder: Path | None) -> Path | None:
        """The folder of a speech model, where the front-end needs it; None where the network itself holds the model."""
        encoder = self.encoder
        return None if encoder is not None and encoder.takes_waveforms else folder

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types; without `speech_model` where there is none."""
        fields = asdict(self)
        if not fields["speech_model"]:
            del fields["speech_model"]
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], source: Path) -> "About":
        """Inverse of `to_json`; raises RunError if the fields are not a description, or have another polarity."""
        if not isinstance(fields, Mapping):
            raise RunError(f"{source}: not the description of a model of SpoofCache; expected a table")
        version = fields.get("format_version")
        if version not in VERSIONS:
            expected = " or ".join(map(str, VERSIONS))
            raise RunError(f"{source}: a model of format version {version}; expected {expected}")
        try:
            require_types(fields)
            lists = {"feature_shape": fields["feature_shape"], "trained_on": fields.get("trained_on", ())}
            about = cls(**{**fields, **{name: tuple(values) for name, values in lists.items()}})
        except (KeyError, TypeError) as error:
            raise RunError(f"{source}: not the description of a model of SpoofCache ({error})") from error
        about._require_parts(source)
        if about.class_index != CLASS_INDEX:
            raise RunError(f"{source}: class index {about.class_index}; expected {dict(CLASS_INDEX)}")
        return about

    def _require_parts(self, source: Path) -> None:
        """RunError where back-end or loss cannot be had; PluginChanged is warned of where its source has changed."""
        try:
            find_registered("back-end", self.backend, BACKENDS)
            find_registered("loss", self.loss, LOSSES)
        except (RunError, PluginError) as error:
            raise RunError(f"{source}: {error}") from error
        now = origins(self.backend, self.loss)
        for name in [name for name, before in self.plugins.items() if now.get(name, before) != before]:
            sentence = f"{source}: the source of {name} has changed since the training; the numbers may be others"
            warnings.warn(sentence, PluginChanged, stacklevel=3)


def find_registered(what: str, name: str, registry: Mapping[str, Callable[..., Part]]) -> Callable[..., Part]:
    try:
        return find_part(name, registry)
    except KeyError:
        raise RunError(f"{what} {name!r}; expected one of {', '.join(registry)}, or {EXPECTED}") from None


def versions() -> dict[str, str]:
    """Versions of the libraries that made the weights."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "h5py")}


def first_line(error: Exception) -> str:
    """What an error of another library says, in a line that fits into a sentence of ours."""
    return (str(error) or repr(error)).splitlines()[0]
