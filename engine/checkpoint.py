"""A run folder: what is in it, and how it is written and read. No pickled modules anywhere.

`config.toml` as used, `metrics.jsonl` (a line per epoch), TensorBoard events, `model.safetensors` with `model.json`
(the selected epoch and what rebuilds it), `last.ckpt` (all that training needs to go on).
"""

import importlib.metadata
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from features.commit import atomic_path
from models import BACKENDS
from protocols.trial import CLASS_INDEX

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
ABOUT = "model.json"
LAST = "last.ckpt"

FORMAT_VERSION = 1
STATE = {"epoch", "best", "about", "conditions", "model", "optimizer", "scaler"}
"""What `last.ckpt` holds."""


class RunError(ValueError):
    """A run folder or a training that cannot go on; the message says what was expected."""


@dataclass(frozen=True)
class About:
    """What a set of weights is: enough to rebuild the network and to refuse other features.

    `epoch`, `dev_eer` and `dev_loss` are None where the weights were trained elsewhere; `versions` then tells from
    which file they came.
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

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], source: Path) -> "About":
        """Inverse of `asdict`; RunError when it is not one of ours or of another polarity."""
        version = fields.get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(f"{source}: a model of format version {version}; expected {FORMAT_VERSION}")
        try:
            about = cls(**{**fields, "feature_shape": tuple(fields["feature_shape"])})
        except (KeyError, TypeError) as error:
            raise RunError(f"{source}: not the description of a model of ours ({error})") from error
        if about.backend not in BACKENDS:
            raise RunError(f"{source}: back-end {about.backend!r}; expected one of {', '.join(BACKENDS)}")
        if about.class_index != CLASS_INDEX:
            raise RunError(f"{source}: class index {about.class_index}; expected {dict(CLASS_INDEX)}")
        return about


def versions() -> dict[str, str]:
    """Of the libraries that made the weights."""
    return {name: importlib.metadata.version(name) for name in ("torch", "numpy", "h5py")}


def build_backend(name: str, feature_shape: tuple[int, ...], settings: Mapping[str, Any]) -> nn.Module:
    """The network of that registry name; RunError for another name, or features of a shape that it does not take."""
    if name not in BACKENDS:
        raise RunError(f"back-end {name!r}; expected one of {', '.join(BACKENDS)}")
    try:
        return BACKENDS[name](feature_shape, **settings)
    except ValueError as error:
        raise RunError(str(error)) from error


def save_best(run: Path, model: nn.Module, about: About) -> None:
    """Write `model.safetensors`, then `model.json`; each names the epoch, so that a half-done pair is noticed."""
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(run / MODEL) as path:  # bytes first: a full disk is then an OSError like any other
        path.write_bytes(save(weights, metadata={"epoch": str(about.epoch)}))
    with atomic_path(run / ABOUT) as path:
        path.write_text(json.dumps(asdict(about), indent=1) + "\n", encoding="utf-8")


def save_last(run: Path, state: Mapping[str, Any]) -> None:
    """Write `last.ckpt`: tensors, numbers, texts and containers of them."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    with atomic_path(run / LAST) as path:
        path.write_bytes(content.getbuffer())


def load_last(run: Path) -> dict[str, Any] | None:
    """What `save_last` wrote, on the CPU; None where no epoch was finished yet."""
    path = run / LAST
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind: torch, pickle and zip files each have their own
        raise RunError(f"{path}: not a checkpoint of ours ({first_line(error)})") from error
    if not isinstance(state, dict) or not state.keys() >= STATE:
        raise RunError(f"{path}: not a checkpoint of ours; expected {', '.join(sorted(STATE))} in it")
    return state


def first_line(error: Exception) -> str:
    """What an error of another library says, in a line that fits into a sentence of ours."""
    return (str(error) or repr(error)).splitlines()[0]


def load_model(run: Path, which: str) -> tuple[nn.Module, About]:
    """Network in evaluation mode, on the CPU, with the `best` or the `last` weights of a run.

    Raises:
        RunError: no such weights there, or not ours.
    """
    weights, about = _read_best(run) if which == "best" else _read_last(run)
    try:
        model = build_backend(about.backend, about.feature_shape, about.settings)
        model.load_state_dict(weights)
    except (TypeError, RuntimeError) as error:
        raise RunError(f"{run}: weights and description do not fit ({first_line(error)})") from error
    return model.eval(), about


def _read_best(run: Path) -> tuple[dict[str, torch.Tensor], About]:
    if not (run / MODEL).exists() or not (run / ABOUT).exists():
        raise RunError(f"{run}: no {MODEL} with {ABOUT}; expected the run folder of a training with a finished epoch")
    try:
        about = About.from_json(json.loads((run / ABOUT).read_text(encoding="utf-8")), run / ABOUT)
        with safe_open(run / MODEL, "pt") as file:
            epoch = (file.metadata() or {}).get("epoch")
        weights = load_file(run / MODEL)
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise RunError(f"{run}: {MODEL} or {ABOUT} is not ours or not whole ({error})") from error
    if epoch != str(about.epoch):
        raise RunError(
            f"{run}: {MODEL} is of epoch {epoch}, {ABOUT} of epoch {about.epoch}: the training was killed between the "
            "two; main_train.py --resume mends it"
        )
    return weights, about


def _read_last(run: Path) -> tuple[dict[str, torch.Tensor], About]:
    state = load_last(run)
    if state is None:
        raise RunError(f"{run}: no {LAST}; expected the run folder of a training with a finished epoch")
    return state["model"], About.from_json(state["about"], run / LAST)
