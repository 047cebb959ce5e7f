"""A run folder: what is in it, and how it is written and read. No pickled modules anywhere.

`config.toml` as used, `trained_on.tsv` (the utterances), `metrics.jsonl` (a line per epoch), TensorBoard events,
`model.safetensors` with `model.json` (the selected epoch and what rebuilds it), `average.safetensors` with
`average.json` where the config asks for an average, `last.ckpt` (all that training needs to go on), `scores/` (made by
evaluate.py).
"""

import hashlib
import importlib.metadata
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from spoofcache.common.errors import InputError
from spoofcache.common.files import atomic_path
from spoofcache.common.plugins import EXPECTED, PluginChanged, PluginError, find_part, origins
from spoofcache.engine.description import require_types
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES
from spoofcache.models.objective import Objective
from spoofcache.models.output import BackendOutput, require_output
from spoofcache.protocols.trial import CLASS_INDEX

Part = TypeVar("Part")

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
ABOUT = "model.json"
AVERAGE = "average.safetensors"
ABOUT_AVERAGE = "average.json"
LAST = "last.ckpt"
TRAINED_ON = "trained_on.tsv"

FORMAT_VERSION = 2
VERSIONS = (1, FORMAT_VERSION)
"""Versions that can be read. Version 1 had no `loss` (it was always the default) and no average."""

STATE = {"epoch", "best", "about", "conditions", "model", "optimizer", "scaler"}
"""What `last.ckpt` holds in every version; `average` and `lowest_dev_eer` came with the second."""

PAIRS = {
    "best": (MODEL, ABOUT, "a training with a finished epoch"),
    "average": (AVERAGE, ABOUT_AVERAGE, "a finished training with train.average (main_train.py --resume finishes one)"),
}
"""Weights, their description, and what makes them."""

OBJECTIVE = "objective."
"""What the objective's names begin with among the weights; the back-end's stand as they are."""


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

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], source: Path) -> "About":
        """Inverse of `asdict`; raises RunError if the fields are not a description, or have another polarity."""
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
            _find("back-end", self.backend, BACKENDS)
            _find("loss", self.loss, LOSSES)
        except (RunError, PluginError) as error:
            raise RunError(f"{source}: {error}") from error
        now = origins(self.backend, self.loss)
        for name in [name for name, before in self.plugins.items() if now.get(name, before) != before]:
            sentence = f"{source}: the source of {name} has changed since the training; the numbers may be others"
            warnings.warn(sentence, PluginChanged, stacklevel=3)


def _find(what: str, name: str, registry: Mapping[str, Callable[..., Part]]) -> Callable[..., Part]:
    try:
        return find_part(name, registry)
    except KeyError:
        raise RunError(f"{what} {name!r}; expected one of {', '.join(registry)}, or {EXPECTED}") from None


class Countermeasure(nn.Module):
    """A back-end with the objective that it is trained with: features [B, …] → BackendOutput, and its score [B].

    In its state the back-end's tensors keep their own names, so that the files are those of the bare network; the
    objective's stand beside them as `objective.…`.
    """

    def __init__(self, backend: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.backend, self.objective = backend, objective
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        output: BackendOutput = self.backend(features)
        return output

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Countermeasure score [B] in float32, higher = more bona fide: that of the objective."""
        return self.objective.score(output)


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in list(state):  # every one is renamed or put back, which keeps their order
        state[name.removeprefix(f"{prefix}backend.")] = state.pop(name)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in list(state):
        if not name.startswith(OBJECTIVE):
            state[f"backend.{name}"] = state.pop(name)


def versions() -> dict[str, str]:
    """Versions of the libraries that made the weights."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "h5py")}


def build_backend(name: str, feature_shape: tuple[int, ...], settings: Mapping[str, Any]) -> nn.Module:
    """The network of that registry name, or `package.module:Name` of the user's own, built for features of that shape.

    Raises:
        RunError: no such name, or a shape or settings that the network does not take.
    """
    make = _find("back-end", name, BACKENDS)
    try:
        return make(feature_shape, **settings)
    except ValueError as error:
        raise RunError(str(error)) from error
    except (TypeError, ArithmeticError, MemoryError, RuntimeError) as error:  # of sizes that nothing has room for, too
        raise RunError(f"back-end {name} with settings {dict(settings)}: {first_line(error)}") from error


def build_countermeasure(about: About, class_weights: torch.Tensor | None = None) -> Countermeasure:
    """The network and the objective of that description, with weights as they are drawn.

    Args:
        about: its `epoch` and dev figures do not matter.
        class_weights: [2] by class index, of the loss; scores do without.

    Raises:
        RunError: names, settings or a feature shape that nothing takes.
    """
    backend = build_backend(about.backend, about.feature_shape, about.settings)
    size = _embedding_size(about.backend, backend, about.feature_shape)
    try:
        weights = torch.ones(len(CLASS_INDEX)) if class_weights is None else class_weights
        objective = _find("loss", about.loss, LOSSES)(weights, size, **about.loss_settings)
    except ValueError as error:
        raise RunError(str(error)) from error
    except (TypeError, ArithmeticError, MemoryError, RuntimeError) as error:
        raise RunError(f"loss {about.loss} with settings {dict(about.loss_settings)}: {first_line(error)}") from error
    return Countermeasure(backend, objective)


def _embedding_size(name: str, backend: nn.Module, feature_shape: tuple[int, ...]) -> int:
    """E of the embeddings [B, E], which depends on the settings: a forward pass of two utterances of zeros shows it.

    Raises:
        RunError: The back-end cannot compute such features, or returns something other than a BackendOutput.
    """
    try:
        with torch.no_grad():
            output = backend.eval()(torch.zeros(2, *feature_shape))
    except Exception as error:  # whatever a back-end of the user's own raises
        raise RunError(f"back-end {name} on features [2, …] of shape {feature_shape}: {first_line(error)}") from error
    try:
        return require_output(f"back-end {name}", output, batch=2).embedding.shape[1]
    except ValueError as error:
        raise RunError(str(error)) from error


def save_best(run: Path, model: nn.Module, about: About) -> None:
    """Write `model.safetensors`, then `model.json`; each names the epoch, so that a half-done pair is noticed."""
    _save_pair(run / MODEL, run / ABOUT, model, about)


def save_average(run: Path, model: nn.Module, about: About) -> None:
    """Write `average.safetensors`, then `average.json`; with the latter the run is finished."""
    _save_pair(run / AVERAGE, run / ABOUT_AVERAGE, model, about)


def _save_pair(weights_path: Path, about_path: Path, model: nn.Module, about: About) -> None:
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    content = save(weights, metadata={"epoch": str(about.epoch)})
    about = replace(about, weights_sha256=hashlib.sha256(content).hexdigest())
    with atomic_path(weights_path) as path:  # not safetensors' own writing, whose error on a full disk is no OSError
        path.write_bytes(content)
    with atomic_path(about_path) as path:
        path.write_text(json.dumps(asdict(about), indent=1) + "\n", encoding="utf-8")


def save_last(run: Path, state: Mapping[str, Any]) -> None:
    """Write `last.ckpt`: tensors, numbers, texts and containers of them."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    with atomic_path(run / LAST) as path:
        path.write_bytes(content.getbuffer())


def load_last(
    run: Path, holds: Collection[str] = STATE, what: str = "a checkpoint of SpoofCache"
) -> dict[str, Any] | None:
    """What `save_last` wrote, on the CPU; None if no epoch was finished yet.

    Raises:
        RunError: the file is not `what`, or some of the entries `holds` are missing.
    """
    path = run / LAST
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # checksums, which torch does not hold its reading to
                raise zipfile.BadZipFile
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of any kind; torch's own text advises to run the code in a pickle, so it is not shown
        raise RunError(f"{path}: not {what}, or damaged; expected the file that the training wrote") from error
    if not isinstance(state, dict) or not state.keys() >= set(holds):
        raise RunError(f"{path}: not {what}; expected {', '.join(sorted(holds))} in it")
    return state


def first_line(error: Exception) -> str:
    """What an error of another library says, in a line that fits into a sentence of ours."""
    return (str(error) or repr(error)).splitlines()[0]


def load_model(run: Path, which: str) -> tuple[Countermeasure, About]:
    """Network in evaluation mode, on the CPU, with the `best`, the `last` or the `average` weights of a run.

    Raises:
        RunError: no such weights there, or not ours.
    """
    weights, about = _read_last(run) if which == "last" else _read_pair(run, *PAIRS[which])
    try:
        model = build_countermeasure(about)
        model.load_state_dict(weights)
    except (TypeError, RuntimeError, AttributeError, KeyError) as error:
        raise RunError(f"{run}: weights and description do not fit ({first_line(error)})") from error
    return model.eval(), about


def read_about(run: Path, description: str = ABOUT) -> About:
    """What the weights of a run folder are; RunError where it is not there or not ours."""
    path = run / description
    try:
        return About.from_json(json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        made_by = next(made_by for _, about, made_by in PAIRS.values() if about == description)
        raise RunError(f"{run}: no {description}; expected the run folder of {made_by}") from None
    except RunError:
        raise
    except (ValueError, RecursionError, AttributeError) as error:
        raise RunError(f"{path}: not ours or not whole ({first_line(error)})") from error


def _read_pair(run: Path, model: str, description: str, made_by: str) -> tuple[dict[str, torch.Tensor], About]:
    if not (run / model).exists() or not (run / description).exists():
        raise RunError(f"{run}: no {model} with {description}; expected the run folder of {made_by}")
    about = read_about(run, description)
    content = (run / model).read_bytes()
    try:
        weights, epoch = load(content), _epoch_in(content)
    except (SafetensorError, ValueError, AttributeError, KeyError) as error:
        raise RunError(f"{run}: {model} is not ours or not whole ({first_line(error)})") from error
    if epoch != str(about.epoch):
        raise RunError(
            f"{run}: {model} is of epoch {epoch}, {description} of epoch {about.epoch}: the training was killed "
            "between the two; main_train.py --resume mends it"
        )
    if about.weights_sha256 and hashlib.sha256(content).hexdigest() != about.weights_sha256:
        raise RunError(
            f"{run}: {model} is not the file that {description} describes: its SHA-256 is another, so one of the two "
            "was damaged or replaced. If the training was killed at this moment, main_train.py --resume mends it"
        )
    return weights, about


def _epoch_in(content: bytes) -> str | None:
    """The epoch in the header of a safetensors file: its length in eight bytes, then JSON."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    epoch: str | None = header.get("__metadata__", {}).get("epoch")
    return epoch


def _read_last(run: Path) -> tuple[dict[str, torch.Tensor], About]:
    state = load_last(run)
    if state is None:
        raise RunError(f"{run}: no {LAST}; expected the run folder of a training with a finished epoch")
    return state["model"], About.from_json(state["about"], run / LAST)
