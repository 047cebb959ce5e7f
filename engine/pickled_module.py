"""Read a whole module that `torch.save(model, …)` pickled, without running code of the file or importing its classes.

PyTorch's restricted unpickler admits tensors, their rebuild functions and ordinary containers. For every other class or
function that the file names, it is given a stand-in: a class without behaviour that only keeps the state it is given.
A file that calls one of them, as pickles do that run code, is refused. The weights are then collected from the tree of
stand-ins.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import torch

from spoofcache.engine.about import RunError

DEEPEST, MOST = 64, 100_000
"""Largest depth and number of modules in a tree."""

PARTS = ("_parameters", "_buffers", "_modules")
"""Tables in the state of a pickled `torch.nn.Module`."""


class WouldCall(Exception):
    """The file calls something other than a tensor's rebuild function or an ordinary container; args[0] is its name.

    This is no UnpicklingError, because torch replaces the text of those.
    """


class StandInType(type):
    """The type of stand-ins. They cannot be called: a pickle creates objects of ordinary classes in another way."""

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        raise WouldCall(cls.__name__)


class StandIn(metaclass=StandInType):
    """An object of a class of the file: its state, and nothing else."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> "StandIn":
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state


def load_with_stand_ins(path: Path, harmless: Sequence[Any]) -> Any:
    """Everything in a file of `torch.save`, with state dicts in the place of modules.

    Args:
        path: the file.
        harmless: further types to admit, as for `torch.serialization.safe_globals`.

    Raises:
        WouldCall: the file calls something.
        RunError: a tree of modules is too large.
        Exception: of any kind, where the file is damaged or holds something else that is not admitted.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.serialization.safe_globals(list(harmless)))
        stand_ins: list[Any] = [(StandInType(name, (StandIn,), {}), name) for name in _classes_in(path)]
        stack.enter_context(torch.serialization.safe_globals(stand_ins))
        return _without_stand_ins(torch.load(path, map_location="cpu", weights_only=True), path, {})


def _classes_in(path: Path) -> list[str]:
    """Classes and functions that a file names and that are not admitted; none in a file that only torch can judge."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, pickle.UnpicklingError, EOFError, RuntimeError):
        return []  # not a zip file, a script of torch, or damaged: torch.load says which


def _without_stand_ins(content: Any, path: Path, seen: dict[int, Any]) -> Any:
    """Replace modules by their state dicts, in tables at any depth. `seen` maps met tables to their results."""
    if isinstance(content, StandIn):
        return dict(_state_dict(content, path))
    if type(content) is not dict:
        return content
    if id(content) not in seen:
        seen[id(content)] = result = {}
        result.update({name: _without_stand_ins(each, path, seen) for name, each in content.items()})
    return seen[id(content)]


def _state_dict(module: StandIn, path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the names and tensors that `module.state_dict()` would have."""
    waiting, count = [("", module, 0)], 0
    while waiting:
        prefix, module, depth = waiting.pop()
        count += 1
        if count > MOST or depth > DEEPEST:
            raise RunError(f"{path}: more than {MOST} modules, or {DEEPEST} within each other; expected a network")
        parameters, buffers, children = (_part(module, part) for part in PARTS)
        passing = module.state.get("_non_persistent_buffers_set", ()) if isinstance(module.state, Mapping) else ()
        kept = {name: each for name, each in buffers.items() if name not in passing}
        for name, tensor in (parameters | kept).items():
            if isinstance(tensor, torch.Tensor):
                yield f"{prefix}{name}", tensor.detach()
        inside = [(f"{prefix}{name}.", each, depth + 1) for name, each in children.items() if isinstance(each, StandIn)]
        waiting += reversed(inside)


def _part(module: StandIn, name: str) -> dict[str, Any]:
    """A table of a module's state whose keys are names; an empty one where there is none."""
    table = module.state.get(name) if isinstance(module.state, Mapping) else None
    return {key: each for key, each in table.items() if isinstance(key, str)} if isinstance(table, Mapping) else {}
