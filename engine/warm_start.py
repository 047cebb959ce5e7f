"""Starts a training from the weights of another run, and keeps those weights in the new run folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from spoofcache.common.files import atomic_path
from spoofcache.engine.about import RunError, first_line
from spoofcache.engine.checkpoint import MODEL, TRAINED_ON, load_model
from spoofcache.engine.trained_on import BEFORE
from spoofcache.features.plan import Identity

INITIAL = "initial.safetensors"
"""The weights that a training started from, in its run folder."""

SHOWN = 5
"""Largest number of tensors that a message names."""


class InitialWeights(NamedTuple):
    """Tensors by name, a description of their origin, and their run folder (None if they are read back later)."""

    tensors: dict[str, torch.Tensor]
    origin: str
    run: Path | None = None


def weights_of(run: Path | str, identity: Mapping[str, Any]) -> InitialWeights:
    """Load the best weights of a run, which may be an imported one.

    Args:
        run: the run folder.
        identity: the identity of the features of the new training. If the run was trained on features of another
            identity, the description of the origin says so.

    Raises:
        RunError: the run has no weights, or they are damaged.
    """
    run = Path(run)
    model, about = load_model(run, "best")
    digest = hashlib.sha256((run / MODEL).read_bytes()).hexdigest()
    others = "" if Identity(about.identity).to_json() == Identity(identity).to_json() else ", trained on other features"
    return InitialWeights(dict(model.state_dict()), f"{run} (SHA-256 {digest}{others})", run)


def keep_initial(run: Path, initial: InitialWeights) -> None:
    """Write the weights that a training starts from, and the list of utterances they were trained on, into its run."""
    if initial.run and (initial.run / TRAINED_ON).exists():
        with atomic_path(run / BEFORE) as path:
            path.write_bytes((initial.run / TRAINED_ON).read_bytes())
    tensors = {name: tensor.contiguous() for name, tensor in initial.tensors.items()}
    with atomic_path(run / INITIAL) as path:
        path.write_bytes(save(tensors, metadata={"origin": initial.origin}))


def read_initial(run: Path) -> InitialWeights | None:
    """The weights that a training started from; None if they were drawn at random.

    Raises:
        RunError: the file is damaged.
    """
    path = run / INITIAL
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return InitialWeights(load(content), str(header["__metadata__"]["origin"]))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path}: damaged, or not written by a training ({first_line(error)})") from error


def start_from(model: nn.Module, initial: InitialWeights) -> str:
    """Copy every tensor whose name and shape exist in the network. All other parameters keep their random values.

    Returns:
        A sentence that lists which tensors were copied, drawn at random and not used.

    Raises:
        RunError: no tensor fits the network.
    """
    own = model.state_dict()
    copied = [name for name, each in initial.tensors.items() if name in own and own[name].shape == each.shape]
    if not copied:
        raise RunError(
            f"{initial.origin}: none of its {len(initial.tensors)} tensors has the name and the shape of one of the "
            "network that is to be trained; expected a run of the same back-end"
        )
    with torch.no_grad():
        for name in copied:
            own[name].copy_(initial.tensors[name])
    fresh = [name for name in own if name not in copied]
    unused = [name for name in initial.tensors if name not in copied]
    clauses = [f"initial weights: {len(copied)} of {len(own)} tensors from {initial.origin}"]
    clauses += [f"drawn at random: {_listed(fresh)}"] if fresh else []
    clauses += [f"not used: {_listed(unused)}"] if unused else []
    return "; ".join(clauses)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
