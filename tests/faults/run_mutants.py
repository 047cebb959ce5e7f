"""Damaged run folders and configurations by the thousand: is each refused in a sentence, or read?

    python -m tests.faults.run_mutants 10000

changes one file of a small run folder at a time, and loads its weights, its description and its configuration, or
continues its training. Anything but an InputError or an OSError is a fault, and so are scores that have changed.
"""

import json
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from spoofcache.common.errors import InputError
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.config_file import load_config
from spoofcache.engine.train import FitOptions, fit
from spoofcache.engine.trained_on import read_trained_on
from spoofcache.evaluation.runs import read_runs
from spoofcache.features.dataset import CachedFeatures
from tests.corpora import make_trials, separable_rows, write_cache
from tests.faults.damage import Change, cut, flip, inserting

CONFIG = "[backend]\nname = 'pooled_linear'\n\n[train]\nepochs = 1\nbatch_size = 8\naverage = 'swa'\n"
JUNK = (
    b"\x00",
    b"\xff\xfe",
    b"9" * 5_000,
    b"[" * 3_000,
    b"{" * 3_000,
    b"nan",
    b"null",
    b"-1",
    b"[]",
    b"{}",
    b'"x"',
    b"\r",
)
VALUES: tuple[Any, ...] = (None, [], {}, "x", -1, 1e400, 2**70, [[1]], {"a": {"b": 1}}, True, [2**40])
"""What takes the place of a value in a JSON file."""


def replace_value(data: bytes, draw: random.Random) -> bytes:
    """Another value, of another type perhaps, for a key of a JSON table; other files get junk in a line."""
    try:
        table = json.loads(data)
    except ValueError:
        lines = data.split(b"\n")
        number = draw.randrange(len(lines))
        key, _, _ = lines[number].partition(b"=")
        return b"\n".join([*lines[:number], key + b"=" + draw.choice(JUNK), *lines[number + 1 :]])
    key = draw.choice(list(table))
    return json.dumps(table | {key: draw.choice(VALUES)}).encode()


CHANGES: tuple[Change, ...] = (flip, cut, inserting(JUNK), replace_value)


def load(run: Path, caches: tuple[CachedFeatures, CachedFeatures], weights: str) -> torch.Tensor:
    """The scores of some features by the `best`, `last` or `average` weights of a run."""
    model, about = load_model(run, weights)
    with torch.no_grad():
        return model.score(model(torch.ones(2, *about.feature_shape)))


def resume(run: Path, caches: tuple[CachedFeatures, CachedFeatures], _: str) -> None:
    """Continue a training that is over."""
    fit(load_config(run.parent / "experiment.toml"), *caches, run, FitOptions(resume=True))


def describe(run: Path, caches: tuple[CachedFeatures, CachedFeatures], _: str) -> None:
    """What evaluate.py reads of a run."""
    read_runs([str(run)])
    read_trained_on(run)


def configure(run: Path, caches: tuple[CachedFeatures, CachedFeatures], _: str) -> None:
    load_config(run / "config.toml")


READERS: Mapping[str, tuple[Callable[..., torch.Tensor | None], str]] = {
    "model.safetensors": (load, "best"),
    "model.json": (load, "best"),
    "average.safetensors": (load, "average"),
    "average.json": (load, "average"),
    "last.ckpt": (load, "last"),
    "last.ckpt, resumed": (resume, ""),
    "config.toml": (configure, ""),
    "config.toml, resumed": (resume, ""),
    "model.json, evaluated": (describe, ""),
    "config.toml, evaluated": (describe, ""),
    "trained_on.tsv": (describe, ""),
    "metrics.jsonl, resumed": (resume, ""),
}


def make(folder: Path) -> tuple[CachedFeatures, CachedFeatures]:
    """A finished run in `folder`/whole, and the caches that it was trained on."""
    parts = []
    for name, n in {"train": 12, "dev": 9}.items():
        trials = make_trials(n, name)
        parts.append(CachedFeatures(write_cache(folder / name, trials, separable_rows(trials, (4, 5)))))
    (folder / "experiment.toml").write_text(CONFIG)
    fit(load_config(folder / "experiment.toml"), parts[0], parts[1], folder / "whole")
    return parts[0], parts[1]


def run(number: int, seed: int, folder: Path) -> Counter[tuple[str, str]]:
    """Try so many mutants; counts by file and verdict: `refused`, `read`, or the faults `trace` and `other scores`."""
    draw, outcome = random.Random(seed), Counter[tuple[str, str]]()
    caches = make(folder)
    before = {weights: load(folder / "whole", caches, weights) for weights in ("best", "average", "last")}
    for index in range(number):
        case = list(READERS)[index % len(READERS)]
        reader, weights = READERS[case]
        name = case.partition(",")[0]
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "run")
        path = folder / "run" / name
        path.write_bytes(draw.choice(CHANGES)(path.read_bytes(), draw))
        outcome[case, _verdict(reader, folder, caches, weights, before.get(weights))] += 1
    return outcome


def _verdict(
    reader: Callable[..., torch.Tensor | None],
    folder: Path,
    caches: tuple[CachedFeatures, CachedFeatures],
    weights: str,
    before: torch.Tensor | None,
) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = reader(folder / "run", caches, weights)
    except (InputError, OSError):
        return "refused"
    except Exception:
        traceback.print_exc()
        return "trace"
    is_same = scores is None or before is None or (scores.shape == before.shape and torch.equal(scores, before))
    return "read" if is_same else "other scores"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        counts = run(int(sys.argv[1]), 1, Path(place))
    for (file, verdict), count in sorted(counts.items()):
        print(f"{file:26} {verdict:12} {count:6,}")
    sys.exit(any(verdict in ("trace", "other scores") for _, verdict in counts))
