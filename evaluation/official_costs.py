"""The t-DCF coefficients that the organisers of ASVspoof 2021 distribute with their keys (`LA-C012-eval.npy`).

The evaluation package (public repository asvspoof-challenge/2021, eval-package/eval_wrapper.py) writes them with
`numpy.ndarray.dump` as `{attack: {codec: {"C0": …, "C1": …, "C2": …}}}`. Such a file is a pickle, which could run any
code where it is loaded. Here nothing of it runs: the few names that it may use are mapped to classes of this module.
"""

import math
import pickle
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np

from spoofcache.evaluation.trials import POOLED
from spoofcache.metrics.dcf import Coefficients, check_cost
from spoofcache.metrics.det import ScoreError

OFFICIAL_POOLED = "Pooled"
NPY = b"\x93NUMPY"
PICKLE = b"\x80"
"""First byte of a pickle of protocol 2 and later; no UTF-8 text begins with it, nor with that of NPY."""
EXPECTED = "the coefficients of ASVspoof 2021 by attack and codec, as in LA-C012-eval.npy"
NUMBERS = ("f4", "f8", "i4", "i8")


class _Type:
    """Stands for a numpy dtype: its code, such as `f8`, and its byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """Stands for a numpy array of objects, whose pickled state is (version, shape, type, is Fortran, objects)."""

    content: object = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[object, ...]) -> None:
        *_, objects = state
        if not isinstance(objects, list) or len(objects) != 1:
            raise pickle.UnpicklingError("an array of several values")
        self.content = objects[0]


def _scalar(kind: _Type, raw: bytes) -> float:
    if kind.code not in NUMBERS:
        raise pickle.UnpicklingError(f"a value of type {kind.code}")
    (number,) = np.frombuffer(raw, kind.order + kind.code)
    return float(number)


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for codecs.encode, with which protocol 2 writes bytes."""
    return text.encode("latin1")


_OF_NUMPY = {"_reconstruct": _Array, "scalar": _scalar}
ADMITTED: Mapping[tuple[str, str], object] = {
    **{(f"numpy.{core}.multiarray", name): made for core in ("core", "_core") for name, made in _OF_NUMPY.items()},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
    **{(of, one.__name__): one for of in ("builtins", "__builtin__") for one in (dict, list, tuple, float, int, str)},
}
"""The names that a file may use → what stands for them."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ADMITTED:
            raise ScoreError(f"it uses {module}.{name}, which could run code")
        return ADMITTED[module, name]


def is_pickled(path: Path) -> bool:
    """Whether a file begins as an array file of numpy or as a pickle does."""
    with path.open("rb") as file:
        return file.read(len(NPY)).startswith((NPY, PICKLE))


def read_official_costs(path: Path, by: Collection[str]) -> dict[str, Coefficients]:
    """Read the coefficients of all trials and, where `by` has `attack` or `codec`, those of each attack or codec.

    Conditions without ASV trials, for which the organisers' file has NaN, are omitted.

    Raises:
        ScoreError: the file uses a name that could run code, is damaged, or holds something else.
    """
    table = _load(path)
    if not isinstance(table, dict) or not isinstance(table.get(OFFICIAL_POOLED), dict):
        raise ScoreError(f"{path}: no entry {OFFICIAL_POOLED} by attack; expected {EXPECTED}")
    pooled = table[OFFICIAL_POOLED]
    entries = {POOLED: pooled.get(OFFICIAL_POOLED)}
    if "codec" in by:
        entries |= {str(name): entry for name, entry in pooled.items() if name != OFFICIAL_POOLED}
    for attack, row in table.items() if "attack" in by else ():
        if attack != OFFICIAL_POOLED:
            entries[str(attack)] = row.get(OFFICIAL_POOLED) if isinstance(row, dict) else None
    costs = {name: _coefficients(entry, f"{path}: {name}") for name, entry in entries.items()}
    return {name: cost for name, cost in costs.items() if cost is not None}


def _coefficients(entry: object, where: str) -> Coefficients | None:
    numbers = [entry.get(name) for name in ("C0", "C1", "C2")] if isinstance(entry, dict) else []
    values = [float(number) for number in numbers if isinstance(number, int | float)]
    if len(values) != 3:
        raise ScoreError(f"{where}: no numbers C0, C1 and C2; expected {EXPECTED}")
    if all(map(math.isnan, values)):
        return None
    check_cost(Coefficients(*values), where)
    return Coefficients(*values)


def _load(path: Path) -> object:
    stream = BytesIO(path.read_bytes())
    try:
        if stream.getvalue().startswith(NPY):
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            if not read_header(stream)[2].hasobject:
                raise ScoreError("an array of numbers")
        loaded = _Unpickler(stream).load()
    except Exception as error:  # damaged pickles raise errors of every class
        raise ScoreError(f"{path}: cannot be read: {error}; expected {EXPECTED}") from error
    return loaded.content if isinstance(loaded, _Array) else loaded
