"""Write and read the files of a run folder. No file contains pickled modules.

A run folder contains `config.toml` (the experiment), `trained_on.tsv` (the utterances), `metrics.jsonl` (one line per
epoch), TensorBoard events, `model.safetensors` with `model.json` (the selected epoch and its description),
`average.safetensors` with `average.json` (if the config asks for an average), `last.ckpt` (everything that is needed to
continue the training), `calibration.json` (see `calibration_file`), and `scores/` (written by evaluate.py).
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from spoofcache.common.files import atomic_path
from spoofcache.engine.about import About, RunError, first_line
from spoofcache.engine.countermeasure import Countermeasure, build_countermeasure
from spoofcache.features.encoder import rebuild_encoder
from spoofcache.features.plan import weights_folder

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
MODEL = "model.safetensors"
ABOUT = "model.json"
AVERAGE = "average.safetensors"
ABOUT_AVERAGE = "average.json"
LAST = "last.ckpt"
TRAINED_ON = "trained_on.tsv"

STATE = {"epoch", "best", "about", "conditions", "model", "optimizer", "scaler"}
"""Entries of `last.ckpt` in every version; `average` and `lowest_dev_eer` were added in version 2."""

PAIRS = {
    "best": (MODEL, ABOUT, "a training with a finished epoch"),
    "average": (AVERAGE, ABOUT_AVERAGE, "a finished training with train.average (main_train.py --resume finishes one)"),
}
"""Kind of weights → the file of weights, the file of their description, and the kind of training that writes them."""


def save_best(run: Path, model: nn.Module, about: About) -> None:
    """Write `model.safetensors`, then `model.json`; each names the epoch, so that a half-done pair is noticed."""
    _save_pair(run / MODEL, run / ABOUT, model, about)


def save_average(run: Path, model: nn.Module, about: About) -> None:
    """Write `average.safetensors`, then `average.json`, which marks the run as finished."""
    _save_pair(run / AVERAGE, run / ABOUT_AVERAGE, model, about)


def _save_pair(weights_path: Path, about_path: Path, model: nn.Module, about: About) -> None:
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    content = save(weights, metadata={"epoch": str(about.epoch)})
    about = replace(about, weights_sha256=hashlib.sha256(content).hexdigest())
    # the function of safetensors that writes a file does not raise an OSError if the disk is full
    with atomic_path(weights_path) as path:
        path.write_bytes(content)
    with atomic_path(about_path) as path:
        path.write_text(json.dumps(about.to_json(), indent=1) + "\n", encoding="utf-8")


def save_last(run: Path, state: Mapping[str, Any]) -> None:
    """Write `last.ckpt`: tensors, numbers, texts and containers of them."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    with atomic_path(run / LAST) as path:
        path.write_bytes(content.getbuffer())


def load_last(
    run: Path, holds: Collection[str] = STATE, what: str = "a checkpoint of SpoofCache"
) -> dict[str, Any] | None:
    """Load what `save_last` wrote, on the CPU; return None if no epoch is finished yet.

    Raises:
        RunError: the file is not `what`, or lacks one of the entries `holds`.
    """
    path = run / LAST
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # checksums, which torch does not check when it reads
                raise zipfile.BadZipFile
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of any kind; torch's own text advises to run the code in a pickle, so it is not shown
        raise RunError(f"{path}: not {what}, or damaged; expected the file that the training wrote") from error
    if not isinstance(state, dict) or not state.keys() >= set(holds):
        raise RunError(f"{path}: not {what}; expected {', '.join(sorted(holds))} in it")
    return state


def load_model(run: Path, which: str, speech_model: Path | None = None) -> tuple[Countermeasure, About]:
    """Load the network of a run with its `best`, `last` or `average` weights, in evaluation mode and on the CPU.

    Args:
        run: the run folder.
        which: `best`, `last` or `average`.
        speech_model: folder of the speech model's checkpoint, which only runs with LoRA matrices need. By default, the
            folder that the run was trained with if it still exists, and otherwise the hub.

    Raises:
        RunError: the folder has no such weights, or they were not written by SpoofCache.
    """
    weights, about = _read_last(run) if which == "last" else _read_pair(run, *PAIRS[which])
    try:
        spec = about.encoder
        encoder = rebuild_encoder(spec, speech_model or weights_folder(run)) if spec else None
        model = build_countermeasure(about, encoder=encoder)
        model.load_state_dict(weights)
    except (TypeError, RuntimeError, AttributeError, KeyError) as error:
        raise RunError(f"{run}: weights and description do not fit ({first_line(error)})") from error
    return model.eval(), about


def read_about(run: Path, description: str = ABOUT) -> About:
    """Read the description of the weights in a run folder; raise RunError if it is missing or invalid."""
    path = run / description
    try:
        return About.from_json(json.loads(path.read_text(encoding="utf-8")), path)
    except FileNotFoundError:
        made_by = next(made_by for _, about, made_by in PAIRS.values() if about == description)
        raise RunError(f"{run}: no {description}; expected the run folder of {made_by}") from None
    except RunError:
        raise
    except (ValueError, RecursionError, AttributeError) as error:
        raise RunError(f"{path}: damaged, or not written by SpoofCache ({first_line(error)})") from error


def _read_pair(run: Path, model: str, description: str, made_by: str) -> tuple[dict[str, torch.Tensor], About]:
    if not (run / model).exists() or not (run / description).exists():
        raise RunError(f"{run}: no {model} with {description}; expected the run folder of {made_by}")
    about = read_about(run, description)
    content = (run / model).read_bytes()
    try:
        weights, epoch = load(content), _epoch_in(content)
    except (SafetensorError, ValueError, AttributeError, KeyError) as error:
        raise RunError(f"{run}: {model} is damaged, or not written by SpoofCache ({first_line(error)})") from error
    if epoch != str(about.epoch):
        raise RunError(
            f"{run}: {model} is of epoch {epoch}, {description} of epoch {about.epoch}: the training was killed "
            "between the two; main_train.py --resume repairs it"
        )
    if about.weights_sha256 and hashlib.sha256(content).hexdigest() != about.weights_sha256:
        raise RunError(
            f"{run}: {model} is not the file that {description} describes: its SHA-256 differs, so one of the two was "
            "damaged or replaced. If the training was killed between the two, main_train.py --resume repairs it"
        )
    return weights, about


def _epoch_in(content: bytes) -> str | None:
    """Return the epoch in the header of a safetensors file, which is its length in eight bytes, then JSON."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    epoch: str | None = header.get("__metadata__", {}).get("epoch")
    return epoch


def _read_last(run: Path) -> tuple[dict[str, torch.Tensor], About]:
    state = load_last(run)
    if state is None:
        raise RunError(f"{run}: no {LAST}; expected the run folder of a training with a finished epoch")
    return state["model"], About.from_json(state["about"], run / LAST)
