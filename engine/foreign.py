"""Checkpoints that others published, in torch's own format → a network of ours and what it is.

Nothing in them is executed: they are read with `weights_only=True`.
"""

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from spoofcache.engine.checkpoint import (
    FORMAT_VERSION,
    About,
    Countermeasure,
    RunError,
    build_countermeasure,
    versions,
)
from spoofcache.features.plan import Identity
from spoofcache.protocols.trial import CLASS_INDEX

STATES = ("state_dict", "model_state_dict", "model", "net")
"""Names under which trainers keep the network beside the optimiser and the rest."""

WRAPPINGS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put in front of every name."""

HEAR_WAVEFORMS = ("aasist", "aasist_l", "rawnet2")
"""Back-ends that need no front-end; for any other a checkpoint does not say which."""

EXPORT = "torch.save(model.state_dict(), …)"


def load_foreign(
    path: Path,
    backend: str,
    feature_shape: tuple[int, ...],
    identity: Identity,
    *,
    settings: Mapping[str, Any] | None = None,
    bonafide_index: int = 1,
    prefix: str = "",
) -> tuple[Countermeasure, About]:
    """The network `backend` with the weights of a published checkpoint, in evaluation mode on the CPU.

    Its score is the log-odds of its logits.

    Args:
        path: the checkpoint: a state dict, bare or among other things of a trainer.
        backend: registry name; its `settings` are those of the checkpoint's network.
        feature_shape: what one utterance's features look like.
        identity: of the features that it was trained on.
        bonafide_index: class index of bona fide in the checkpoint; where it is 0 the two output rows are swapped.
        prefix: of the names in the checkpoint that are the network's; entries without it are left out.

    Raises:
        RunError: not a state dict of exactly that network, or no two output rows to swap.
    """
    settings = settings or {}
    weights = read_state_dict(path, prefix)
    about = About(
        format_version=FORMAT_VERSION,
        backend=backend,
        settings=settings,
        feature_shape=feature_shape,
        identity=identity.settings,
        class_index=dict(CLASS_INDEX),
        epoch=None,
        dev_eer=None,
        dev_loss=None,
        versions=versions() | {"imported_from": f"{path.name} (SHA-256 {_sha256(path)})"},
    )
    model = build_countermeasure(about)
    output = output_layer(model.backend)
    _require_fit(weights, model.state_dict(), output, f"{path}: not the weights of {backend}")
    model.load_state_dict(weights)
    if bonafide_index != CLASS_INDEX["bonafide"]:
        _swap_outputs(model, output, backend)
    return model.eval(), about


def read_state_dict(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """Names and tensors of a checkpoint, without wrappers around the whole or around each name.

    Raises:
        RunError: a pickled object, a truncated file, none of torch's, no state dict in it, or nothing with that prefix.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of any kind: torch, pickle and zip files each have their own
        raise RunError(f"{path}: {_refusal(path, error)}") from error
    if isinstance(content, dict):
        content = next((content[name] for name in STATES if isinstance(content.get(name), dict)), content)
    if not _is_state_dict(content):
        raise RunError(f"{path}: no state dict in it; expected what {EXPORT} writes, or that under {', '.join(STATES)}")
    while wrapping := next((w for w in WRAPPINGS if all(name.startswith(w) for name in content)), ""):
        content = {name.removeprefix(wrapping): tensor for name, tensor in content.items()}
    weights = {name.removeprefix(prefix): tensor for name, tensor in content.items() if name.startswith(prefix)}
    if not weights:
        raise RunError(f"{path}: no name begins with {prefix!r}; expected a prefix of names like {next(iter(content))}")
    return weights


def _is_state_dict(content: object) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items())
    )


def _refusal(path: Path, error: Exception) -> str:
    pickled = re.search(r"GLOBAL (\S+)|(TorchScript)", str(error))
    if pickled:
        kind = pickled[1] or pickled[2]
        return f"holds a pickled {kind}, and unpickling runs its code; expected a state dict, exported by {EXPORT}"
    with path.open("rb") as file:
        is_cut = file.read(4) == b"PK\3\4" and not zipfile.is_zipfile(path)  # a zip file's directory is its end
    return f"{'truncated' if is_cut else 'truncated, or no checkpoint of torch'}; expected a file that {EXPORT} wrote"


class OutputLayer(NamedTuple):
    """The layer whose two rows are the logits, and its name in the network."""

    name: str
    layer: nn.Linear


def output_layer(model: nn.Module) -> OutputLayer | None:
    """The last linear layer with two outputs; None in a network with a single logit."""
    pairs = [
        OutputLayer(name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == len(CLASS_INDEX)
    ]
    return pairs[-1] if pairs else None


def _swap_outputs(model: nn.Module, output: OutputLayer | None, backend: str) -> None:
    """Swap the rows of the output layer, and the classes in what is applied to the logits behind it."""
    if output is None:
        raise RunError(f"{backend} has one output, not a row for each class to swap; expected --bonafide-index 1")
    modules = list(model.modules())
    behind = modules[modules.index(output.layer) + 1 :]
    on_logits = [module for module in behind if getattr(module, "num_features", None) == len(CLASS_INDEX)]
    with torch.no_grad():
        for module in (output.layer, *on_logits):
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.dim():
                    tensor.copy_(tensor.flip(0))


def _require_fit(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], output: OutputLayer | None, what: str
) -> None:
    """RunError, beginning with `what`, unless names and shapes are those expected and all values finite."""
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
        "not finite": [name for name, tensor in weights.items() if not tensor.isfinite().all()],
    }
    told = [
        f"{len(names)} {problem} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for problem, names in problems.items()
        if names
    ]
    if output and {f"{output.name}.weight", f"{output.name}.bias"} == set(problems["missing"]):
        told.append(f"{output.name} is the 2-class output, without which nothing tells bona fide from spoof")
    if told:
        raise RunError(f"{what}: {'; '.join(told)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
