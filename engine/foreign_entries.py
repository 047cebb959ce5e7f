"""Read a checkpoint that others wrote, and find the entries that belong to the network, without executing any code.

PyTorch's own format is read by its restricted unpickler (engine/pickled_module.py); safetensors files contain no code.
"""

import argparse
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spoofcache.engine.about import RunError, first_line
from spoofcache.engine.countermeasure import SPEECH_MODEL as IN_NETWORK
from spoofcache.engine.foreign_speech import SpeechEntries, take_speech_model
from spoofcache.engine.pickled_module import WouldCall, load_with_stand_ins
from spoofcache.features.encoder import EncoderSpec

EXPORT = "torch.save(model.state_dict(), …)"

STATES = ("state_dict", "model_state_dict", "model", "net", "net_state")
"""Names under which trainers keep the network, in the order of preference where a checkpoint has several of them."""

NOT_THE_NETWORK = re.compile(r"optim|sched|scaler|rng|callback|hyper_?param|history", re.IGNORECASE)
"""Names under which trainers keep tensors that belong to no network."""

WRAPPINGS = ("module.", "_orig_mod.", "model.", "net.")
"""Prefixes that DataParallel, torch.compile and Lightning modules put in front of every name."""

COUNTER = "num_batches_tracked"
"""Entry of a batch norm that old checkpoints lack. It matters only where momentum is None."""

FRONT_END_CONSTANT = re.compile(
    r"(^|\.)(\w*_fb|fb|dct_mat|l_dct\.(weight|bias)|window|win|filter_mat|filterbank|mel_basis|spectrogram\.window|preemph\w*)$"
)
"""Constants of an acoustic front-end within the network: filter banks, windows and the matrix of a cosine transform."""

SPEECH_MODEL = re.compile(
    r"(^|[._])(ssl|ssl_model|wav2vec2?|w2v2?|xls_?r|hubert|wavlm|data2vec|unispeech)(_model)?\.|"
    r"(^|\.)encoder\.layers\.\d+\.(self_attn|attention)\.|(^|\.)feature_extractor\.conv_layers\.\d+\.",
    re.IGNORECASE,
)
"""Names of a speech model's weights in fairseq, transformers and published countermeasures."""

DEEPEST = 8
"""Tables within tables that are searched for the network."""


@dataclass(frozen=True)
class Choice:
    """Which entries of a checkpoint belong to the network.

    Attributes:
        prefix: only entries whose names begin with this prefix are read, and it is removed from their names. By
            default, the prefix is inferred from the names in the network.
        drop: entries whose names begin with one of these prefixes are ignored.
    """

    prefix: str = ""
    drop: Sequence[str] = ()


class Entries(NamedTuple):
    """The entries of a checkpoint that belong to a network.

    Attributes:
        weights: tensors by their names in the network.
        ignored: names of the ignored entries in the checkpoint.
        names: names in the network → names in the checkpoint, of the weights of a speech model.
    """

    weights: dict[str, torch.Tensor]
    ignored: tuple[str, ...]
    names: Mapping[str, str]


def read_entries(
    path: Path, choice: Choice, expected: Iterable[str], speech_model: EncoderSpec | None = None
) -> Entries:
    """Read the entries of the network from a checkpoint, and rename them as in the network.

    Entries that are not tensors, constants of an acoustic front-end and everything that `choice` excludes are ignored.
    All other entries are returned, whether the network has them or not.

    Args:
        path: a file in the format of `torch.save` or safetensors.
        choice: which entries to read and which to ignore.
        expected: names of the parameters and buffers of the network.
        speech_model: the speech model in the network, which the checkpoint must hold, too; None for a back-end alone.

    Raises:
        RunError: the file is damaged, contains code or no tensors, has no entry with the prefix, or has weights of a
            speech model that would be ignored although `choice.drop` does not name them.
    """
    state, others = _network_in(path, _content(path), choice.prefix)
    dropped = [name for name in state if name.startswith(tuple(choice.drop))]
    state = {name: tensor for name, tensor in state.items() if name not in dropped}
    for prefix in choice.drop:
        if not any(name.startswith(prefix) for name in dropped):
            raise RunError(f"{path}: no name begins with {prefix!r}, which --drop names; {_names_like(state, dropped)}")
    known, speech = list(expected), SpeechEntries({}, state, (), {})
    if speech_model is not None:
        inside = [name for name in known if name.startswith(IN_NETWORK)]
        speech = take_speech_model(path, state, speech_model, inside, choice.prefix)
        state, known = speech.rest, [name for name in known if name not in inside]
    prefix = choice.prefix or _prefix_of(path, state, known)
    weights = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not weights:
        raise RunError(f"{path}: no name begins with {prefix!r}; {_names_like(state, dropped)}")
    rest = [name for name in state if not name.startswith(prefix)]
    _require_no_speech_model(path, rest)
    if not choice.prefix:  # the user has not said that the other entries are unwanted
        weights |= {name: state[name] for name in rest}
        rest = []
    constants = [name for name in weights if name not in known and FRONT_END_CONSTANT.search(name)]
    for name in constants:
        del weights[name]
    return Entries(weights | speech.weights, (*others, *dropped, *speech.ignored, *rest, *constants), speech.names)


def _names_like(state: Mapping[str, Any], dropped: Sequence[str]) -> str:
    return f"expected a prefix of names like {next(iter([*state, *dropped]), '(none)')}"


def _content(path: Path) -> Any:
    """Return everything in the file; raise RunError if it is damaged or cannot be read without running code."""
    with path.open("rb") as file:
        begin = file.read(9)
    try:
        if begin[8:] == b"{" and begin[:2] != b"PK":  # the length of the header in eight bytes, then JSON
            return load_file(path)
        return load_with_stand_ins(path, _harmless())
    except (OSError, RunError):
        raise
    except WouldCall as error:
        raise RunError(
            f"{path}: unpickling it would call {error}, which may run any code; expected a state dict, exported by "
            f"{EXPORT} where the file is trusted"
        ) from error
    except SafetensorError as error:
        raise RunError(f"{path}: not a whole file of safetensors ({first_line(error)})") from error
    except Exception as error:  # of any kind: torch, pickle and zip files each have their own
        raise RunError(f"{path}: {_refusal(path, error)}") from error


def _harmless() -> list[Any]:
    """Types that trainers store besides tensors: numbers and arrays of numpy, and the options of a command line."""
    scalar, rebuild = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    renamed = [(scalar, "numpy.core.multiarray.scalar"), (rebuild, "numpy.core.multiarray._reconstruct")]
    dtypes = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"]
    return [scalar, rebuild, *renamed, np.dtype, np.ndarray, *dtypes, argparse.Namespace]


def _refusal(path: Path, error: Exception) -> str:
    pickled = re.search(r"GLOBAL (\S+)|(TorchScript)", str(error))
    if pickled:
        kind = pickled[1] or pickled[2]
        return f"holds a pickled {kind}, and unpickling runs its code; expected a state dict, exported by {EXPORT}"
    if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
        return f"holds objects that only running code could restore; expected a state dict, exported by {EXPORT}"
    with path.open("rb") as file:
        is_cut = file.read(4) == b"PK\3\4" and not zipfile.is_zipfile(path)  # a zip file's directory is its end
    return f"{'truncated' if is_cut else 'truncated, or no checkpoint of torch'}; expected a file that {EXPORT} wrote"


def _network_in(path: Path, content: Any, prefix: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the table of tensors that is the network, and the names of everything else.

    If the given prefix does not occur in this table, all tables are searched for it by their dotted names.
    """
    tables = dict(_tables(content))
    if not tables:
        raise RunError(f"{path}: no state dict in it; expected what {EXPORT} writes, or that under {', '.join(STATES)}")
    dotted = {
        f"{at}.{name}".removeprefix("."): tensor for at, table in tables.items() for name, tensor in table.items()
    }
    by_preference = sorted(tables, key=_preference)
    chosen = by_preference[0]
    if prefix and not any(name.startswith(prefix) for name in tables[chosen]):
        return dotted, []
    rivals = [at for at in by_preference if _preference(at) == _preference(chosen)]
    if len(rivals) > 1:
        raise RunError(f"{path}: holds several networks; expected --prefix {' or '.join(f'{at}.' for at in rivals)}")
    way = f"{chosen}."
    others = [str(name) for name in content if not way.startswith(f"{name}.") and name not in tables[chosen]]
    return tables[chosen], others


def _preference(at: str) -> tuple[int, int]:
    """Rank a table, where lower is better: a bare table comes first, then the usual names, then any other name."""
    last = at.rpartition(".")[2]
    if not at:
        return (0, 0)
    return (1, STATES.index(at)) if at in STATES else (2, STATES.index(last) if last in STATES else len(STATES))


def _tables(
    content: Any, at: str = "", depth: int = 0, seen: set[int] | None = None
) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yield every table, at any depth, that maps strings to tensors, with its dotted name; a shared table only once."""
    seen = set() if seen is None else seen
    if not isinstance(content, Mapping) or depth > DEEPEST or id(content) in seen:
        return
    seen.add(id(content))
    tensors = {name: each for name, each in content.items() if isinstance(name, str) and isinstance(each, torch.Tensor)}
    if tensors:
        yield at, tensors
    for name, each in content.items():
        if isinstance(name, str) and not NOT_THE_NETWORK.search(name):
            yield from _tables(each, f"{at}.{name}".removeprefix("."), depth + 1, seen)


def _prefix_of(path: Path, state: Mapping[str, torch.Tensor], expected: Sequence[str]) -> str:
    """Return the prefix of the network's names in the checkpoint.

    If the checkpoint lacks some of them, this is the prefix of most of the others or, with none, that of the usual
    wrappers.
    """
    needed = [name for name in expected if not name.endswith(COUNTER)]
    if not needed:
        return ""
    candidates = [name.removesuffix(needed[0]) for name in state if name.endswith(needed[0])]
    fitting = [at for at in candidates if (not at or at.endswith(".")) and all(at + name in state for name in needed)]
    if "" in fitting:
        return ""
    if len(fitting) > 1:
        raise RunError(f"{path}: holds the network several times; expected --prefix {' or '.join(fitting)}")
    return fitting[0] if fitting else _prefix_of_most(list(state), needed)


def _prefix_of_most(names: Sequence[str], needed: Sequence[str]) -> str:
    wanted = set(needed)
    endings = ((name, name.split(".", depth)[-1]) for name in names for depth in range(name.count(".") + 1))
    counts = Counter(name.removesuffix(ending) for name, ending in endings if ending in wanted)
    prefix, count = counts.most_common(1)[0] if counts else ("", 0)
    return prefix if 2 * count > len(needed) else _wrapping(names)


def _wrapping(names: Sequence[str]) -> str:
    found = ""
    while wrapping := next((each for each in WRAPPINGS if all(name.startswith(found + each) for name in names)), ""):
        found += wrapping
    return found


def _require_no_speech_model(path: Path, ignored: Sequence[str]) -> None:
    """Raise RunError if fine-tuned weights of a speech model are among the entries that would be ignored."""
    speech = [name for name in ignored if SPEECH_MODEL.search(name)]
    if speech:
        top = f"{speech[0].partition('.')[0]}."
        raise RunError(
            f"{path}: holds {len(speech)} weights of a speech model ({speech[0]}, …), which was probably fine-tuned "
            "together with this back-end; the scores on the features of any other speech model would be wrong. If it "
            f"is the unchanged public model that the features were made with, add --drop {top}"
        )
