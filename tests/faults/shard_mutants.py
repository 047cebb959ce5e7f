"""Damaged and hostile shards by the thousand: is each refused in a sentence, or read as what was written?

    python -m tests.faults.shard_mutants 5000

makes that many mutants of shards with and without a seal, mapped and compressed, reads every row of each, and prints
what came of them. A mutant may be refused, and nothing else but the bytes that were written may be read from it.
"""

import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from spoofcache.common.errors import InputError
from spoofcache.common.files import Claim, atomic_path
from spoofcache.features import inspection
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import TRIALS, Plan, write_manifest
from spoofcache.features.store import ShardWriter
from spoofcache.protocols.snapshot import snapshot
from tests.corpora import IDENTITY, make_trials
from tests.faults.outcome import FAULTS, run_command
from tests.features.shards import changed

N_ROWS, SHAPE = 24, (20, 30)
SHARD = "shard-00000.h5"
HANG_SECONDS = 60.0
INSPECTION_SECONDS = 5
"""How long a child may take over a shard without a seal here: it ends in the same sentence as after a minute."""


class Seed(NamedTuple):
    """An undamaged partition of one shard."""

    name: str
    folder: Path
    data: bytes


def write_seeds(folder: Path) -> list[Seed]:
    """One for each compression, sealed, and as an earlier edition would have left it."""
    return [
        _write_seed(folder / f"{form}-{edition}", None if form == "mapped" else form, edition == "sealed")
        for form in ("mapped", "lzf", "gzip")
        for edition in ("sealed", "unsealed")
    ]


def _rows() -> Any:
    return np.random.default_rng(0).standard_normal((N_ROWS, *SHAPE)).astype(np.float16)


def _write_seed(folder: Path, compression: str | None, sealed: bool) -> Seed:
    folder.mkdir()
    trials = make_trials(N_ROWS)
    plan = Plan.make("test", "train", IDENTITY, trials, SHAPE)
    with atomic_path(folder / TRIALS) as path:
        path.write_bytes(snapshot(trials))
    claim = Claim.take(folder / SHARD)
    assert claim is not None
    writer = ShardWriter(claim, plan, 0, compression)
    writer.append([trial.utt_id for trial in trials], _rows())
    writer.commit()
    write_manifest(folder, plan, {})
    if not sealed:
        with changed(folder / SHARD):
            pass
    return Seed(folder.name, folder, (folder / SHARD).read_bytes())


def _flip(data: bytes, rng: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        mutant[rng.randrange(len(mutant))] ^= 1 << rng.randrange(8)
    return bytes(mutant)


def _flip_structures(data: bytes, rng: random.Random) -> bytes:
    """Bits where HDF5 keeps what it says of the rows: at the beginning and at the end of the file."""
    mutant = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(3_000) if rng.random() < 0.5 else len(mutant) - 1 - rng.randrange(6_000)
        mutant[place] ^= 1 << rng.randrange(8)
    return bytes(mutant)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((rng.randrange(len(data)), len(data) - rng.randrange(1, 300)))]


def _sector(data: bytes, rng: random.Random) -> bytes:
    """A sector of the disk that came back as zeros, ones, or something else."""
    start = rng.randrange(0, len(data), 512)
    stop = min(len(data), start + 512)
    new = rng.choice((bytes(stop - start), b"\xff" * (stop - start), rng.randbytes(stop - start)))
    return data[:start] + new + data[stop:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.randrange(1, 600)) + data[place:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randrange(1, 600) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """An offset, size or count replaced by one that programs trip over."""
    width = rng.choice((1, 2, 4, 8))
    place = rng.randrange(4_000) if rng.random() < 0.5 else len(data) - width - rng.randrange(5_000)
    value = rng.choice((0, 1, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, len(data)))
    return data[:place] + (value % 256**width).to_bytes(width, "little") + data[place + width :]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip_structures,
    _flip_structures,
    _cut,
    _sector,
    _insert,
    _delete,
    _number,
)


def _again(file: h5py.File, name: str, shape: Any = None, dtype: Any = None, **how: Any) -> None:
    """The dataset once more, with another shape, type or storage; the fill value is what stands in it."""
    former = file[name]
    shape, dtype = former.shape if shape is None else shape, dtype or former.dtype
    del file[name]
    file.create_dataset(name, shape, dtype, **how)


def _data(file: h5py.File, name: str, data: Any, **how: Any) -> None:
    del file[name]
    file.create_dataset(name, data=data, **how)


def _link(file: h5py.File, name: str, link: Any) -> None:
    del file[name]
    file[name] = link


def _virtual(file: h5py.File, name: str, target: str) -> None:
    layout = h5py.VirtualLayout(file[name].shape, file[name].dtype)
    layout[...] = h5py.VirtualSource(target, name, file[name].shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def _hostile(rng: random.Random, other: Path) -> Callable[[h5py.File], Any]:
    """A change that leaves well-formed HDF5 which says something that we never wrote."""
    name = rng.choice(("features", "utt_id", "checksum"))
    attribute = rng.choice(
        [
            "identity",
            "skipped",
            "format_version",
            "corpus",
            "partition",
            "shard_index",
            "shard_count",
            "shard_size",
            "trial_list_sha256",
            "checksum_algorithm",
        ]
    )
    values: tuple[Any, ...] = (0, -1, 2**63 - 1, 1.5, "", "[]", "{", "null", "[" * 50_000, '{"a": NaN}', '{"dtype": 3}')
    values += ('{"dtype": "float64"}', np.arange(3), np.float64("nan"), h5py.Empty("f"), np.bytes_(b"\xff\xfe"), "../x")
    value = rng.choice(values)
    shape = rng.choice(((0, *SHAPE), (2**40, *SHAPE), (N_ROWS,), (N_ROWS, 2**20), (1, *SHAPE), ()))
    chunks = (1, *shape[1:]) if shape and shape[0] > N_ROWS else None
    dtype = rng.choice((">f2", "f8", "u1", "i8", "S3", "c8", "bool"))
    return rng.choice(
        (
            lambda file: file.attrs.__setitem__(attribute, value),
            lambda file: file.attrs.__setitem__(attribute, value),
            lambda file: file.attrs.__delitem__(attribute),
            lambda file: _again(file, "features", shape, chunks=chunks),
            lambda file: _again(file, "checksum", (2**33,), chunks=(1_024,)),
            lambda file: _again(file, name, dtype=dtype),
            lambda file: _again(file, name),  # no storage: the fill value stands for all
            lambda file: _data(file, "utt_id", np.arange(N_ROWS)),
            lambda file: _data(file, "utt_id", [b"\xff\xfe"] * N_ROWS, dtype=h5py.string_dtype()),
            lambda file: _data(file, "utt_id", file["utt_id"][:][::-1]),
            lambda file: _data(file, "checksum", file["checksum"][:].astype("f8")),
            lambda file: _data(file, "features", np.ascontiguousarray(file["features"][:].swapaxes(1, 2))),
            lambda file: _data(file, "features", file["features"][:-1]),
            lambda file: _data(file, "features", file["features"][:][::-1]),
            lambda file: _link(file, name, h5py.ExternalLink(str(other), name)),
            lambda file: _link(file, name, h5py.SoftLink(rng.choice((name, "/checksum", "/nowhere")))),
            lambda file: _again(file, "features", external=[(str(other), 0, h5py.h5f.UNLIMITED)]),
            lambda file: _virtual(file, name, str(other)),
            lambda file: (file.__delitem__(name), file.create_group(name)),
            lambda file: file.attrs.__setitem__(
                "skipped", json.dumps({rng.choice(("U_0000", "nobody")): rng.choice(("why", None, [1]))})
            ),
            lambda file: file.create_dataset("audio", data=rng.choice((np.zeros(3), np.zeros((N_ROWS, 2)), 7))),
        )
    )


def mutate(seed: Seed, folder: Path, rng: random.Random, other: Path) -> str:
    """Put a mutant in the place of the shard in a copy of its partition; the kind of the change."""
    path = folder / SHARD
    if seed.name.endswith("unsealed") and rng.random() < 0.4:
        path.write_bytes(seed.data)
        with h5py.File(path, "r+") as file:
            _hostile(rng, other)(file)
        return "hostile"
    change = rng.choice(BYTES)
    path.write_bytes(change(seed.data, rng))
    return change.__name__.removeprefix("_")


def judge(folder: Path) -> tuple[str, str]:
    """Read every row: `refused`, `same`, or one of FAULTS; and a word on it."""
    begin = time.monotonic()
    try:
        cache = CachedFeatures(folder)
        found = np.stack([cache[index].features.numpy() for index in range(len(cache))])
        names = [trial.utt_id for trial in cache.trials]
    except InputError as error:
        verdict = ("refused", "") if str(error).startswith(f"{folder}") else ("trace", str(error))
    except Exception as error:
        verdict = "trace", f"{type(error).__name__}: {error}"
    else:
        same = names == [trial.utt_id for trial in make_trials(N_ROWS)] and found.tobytes() == _rows().tobytes()
        verdict = ("same" if same else "differs", "")
    return verdict if time.monotonic() - begin < HANG_SECONDS else ("hang", "")


def run(count: int, seed: int, folder: Path, keep: Path | None = None) -> Mapping[tuple[str, str], int]:
    """Make and judge that many mutants; (partition, verdict) → how many. Faulty ones go to `keep`."""
    rng, outcome = random.Random(seed), Counter[tuple[str, str]]()
    seeds = write_seeds(folder)
    usual, inspection.SECONDS = inspection.SECONDS, INSPECTION_SECONDS
    try:
        for index in range(count):
            chosen = seeds[index % len(seeds)]
            place = folder / "mutant"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(chosen.folder, place)
            change = mutate(chosen, place, rng, seeds[0].folder / SHARD)
            kind, detail = judge(place)
            outcome[chosen.name, kind] += 1
            if kind in FAULTS:
                print(f"{chosen.name} {change} {index}: {kind}, {detail[:300]}", file=sys.stderr, flush=True)
                if keep:
                    shutil.copy(place / SHARD, keep / f"{seed}-{index}-{change}-{chosen.name}.h5")
    finally:
        inspection.SECONDS = usual
    return outcome


if __name__ == "__main__":
    run_command(run, default=5_000, harmless=("refused", "same"), width=17)
