"""The description of a network, `model.json`, from which it and its score are rebuilt, and other features refused."""

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
    """A run folder that cannot be used, or a training that cannot continue; the message says what was expected."""


@dataclass(frozen=True)
class About:
    """The description of a set of weights, from which the network and its score are rebuilt.

    Attributes:
        format_version: the version of this description.
        backend: the registry name of the back-end, or `package.module:Name`.
        settings: the settings of the back-end.
        feature_shape: the shape of one utterance's features.
        identity: the settings of the identity that features must have.
        class_index: the index of each class in the output.
        epoch: the epoch of the weights, counted from 0; None if they were trained elsewhere.
        dev_eer: the EER on dev as a fraction; None if the weights were trained elsewhere.
        dev_loss: the loss on dev; None if the weights were trained elsewhere.
        versions: the versions of the libraries; for weights that were trained elsewhere, also the file they came from.
        loss: the registry name of the loss, or `package.module:Name`.
        loss_settings: the settings of the loss.
        trained_on: the training partitions as `corpus/partition`, or `corpus/partition+effect` if augmented views were
            used; empty if they are unknown.
        data: digests of the trials and features of `train` and `dev` in each view. They are equal for two runs on the
            same data.
        plugins: `package.module:Name` → hash of the source, for a back-end or a loss of the user's own.
        weights_sha256: the SHA-256 of the file of weights; empty in runs of earlier versions, which are not checked.
        speech_model: the fields of an EncoderSpec if a part of the speech model was trained, too; otherwise empty.
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
        """The given folder of a speech model; None if the front-end does not need it, as the network has the model."""
        encoder = self.encoder
        return None if encoder is not None and encoder.takes_waveforms else folder

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types; `speech_model` is omitted if it is empty."""
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
        """Raise RunError if the back-end or the loss cannot be loaded; warn if the source of a plug-in has changed."""
        try:
            find_registered("back-end", self.backend, BACKENDS)
            find_registered("loss", self.loss, LOSSES)
        except (RunError, PluginError) as error:
            raise RunError(f"{source}: {error}") from error
        now = origins(self.backend, self.loss)
        for name in [name for name, before in self.plugins.items() if now.get(name, before) != before]:
            sentence = f"{source}: the source of {name} has changed since the training; its results may differ"
            warnings.warn(sentence, PluginChanged, stacklevel=3)


def find_registered(what: str, name: str, registry: Mapping[str, Callable[..., Part]]) -> Callable[..., Part]:
    """The part with a registry name or `package.module:Name`; `what` names the kind of part in an error message.

    Raises:
        RunError: the name is neither in the registry nor that of a plug-in.
        PluginError: the plug-in cannot be loaded or called.
    """
    try:
        return find_part(name, registry)
    except KeyError:
        raise RunError(f"{what} {name!r}; expected one of {', '.join(registry)}, or {EXPECTED}") from None


def versions() -> dict[str, str]:
    """Versions of the libraries that made the weights."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "h5py")}


def first_line(error: Exception) -> str:
    """The first line of an error message, or the error itself if it has no message."""
    return (str(error) or repr(error)).splitlines()[0]
