"""Damaged audio files by the thousand: is each refused in a sentence, or read as the undamaged one?

    python -m tests.faults.audio_mutants 10000

makes that many mutants over nine formats, reads each, and prints what came of them. A mutant that is read has to agree
with the undamaged file except where bytes were changed: formats without checksums cannot know of a changed sample.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from spoofcache.common.errors import InputError
from spoofcache.features.waveform import load_recording
from tests.faults.outcome import FAULTS, run_command

RATE, SECONDS = 16_000, 3
MARGIN = 0.25
"""Seconds around a change in which a lossy coding may differ, by its frames, their overlap and their reservoir of bits,
and by what the place of a byte tells wrongly of its time where the bit rate varies."""

AGREES = 1e-3
"""Samples of full scale ±1 that differ by less agree."""

ENCODER_SAMPLES = 4 * 1_152
"""What MP3 encoders add at most, and its first frame says: where that frame is damaged, the added silence is read."""

PACKET_SAMPLES = RATE // 50
"""A packet of Opus, 20 ms."""

LONGER = ("repeat", "insert")
"""Changes that may add whole frames to a format without a length, as files that were joined have them."""

HANG_SECONDS = 60.0
SLACK_NOTE = "its header states"
"""A WAV that lacks no more bytes than everyday headers overstate is read with this note."""


class Change(NamedTuple):
    """A changed file, and the bytes of the undamaged one from `first` to `last` that were changed or lost."""

    name: str
    data: bytes
    first: int
    last: int


class Verdict(NamedTuple):
    """What came of a mutant: `refused`, `same`, `local`, `padded`, `noted`, or one of FAULTS; and a word on it."""

    kind: str
    detail: str = ""


def speech() -> NDArray[np.float32]:
    """Noise [n] at 16 kHz whose level and colour change, with neither silence nor repetition in it."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE * SECONDS)
    level = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * np.arange(len(noise)) / RATE)
    smooth: NDArray[np.float32] = np.convolve(noise * level, np.hanning(11) / 5, "same").astype(np.float32)
    return smooth


def write_seeds(folder: Path) -> Mapping[str, Path]:
    """The undamaged files by their format."""
    sound = speech()
    for name in ("wav", "flac", "mp3", "ogg"):
        soundfile.write(folder / f"seed.{name}", sound, RATE)
    soundfile.write(folder / "seed.opus", sound, RATE, format="OGG", subtype="OPUS")
    for name, codec in {"m4a": "aac", "aac": "aac", "webm": "libopus", "mkv": "flac"}.items():
        _encode(folder / f"seed.{name}", codec, sound)
    return {path.suffix[1:]: path for path in sorted(folder.glob("seed.*"))}


def _encode(path: Path, codec: str, sound: NDArray[np.float32]) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, layout="mono")
        to_codec = av.AudioResampler(stream.format, "mono", RATE, frame_size=stream.frame_size or None)
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for part in [*to_codec.resample(frame), *to_codec.resample(None), None]:
            container.mux([packet for packet in stream.encode(part) if packet.size])


def _flip(data: bytes, rng: random.Random, count: int, within: int) -> Change:
    changed, places = bytearray(data), sorted(rng.randrange(within) for _ in range(count))
    for place in places:
        changed[place] ^= 1 << rng.randrange(8)
    return Change("flip", bytes(changed), places[0], places[-1] + 1)


def _cut(data: bytes, rng: random.Random) -> Change:
    end = rng.choice((rng.randrange(1, len(data)), len(data) - rng.randrange(1, 200)))
    return Change("cut", data[:end], end, len(data))


def _delete(data: bytes, rng: random.Random) -> Change:
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.randrange(1, 4_000))
    return Change("delete", data[:first] + data[last:], first, last)


def _insert(data: bytes, rng: random.Random) -> Change:
    at = rng.randrange(len(data))
    return Change("insert", data[:at] + rng.randbytes(rng.randrange(1, 300)) + data[at:], at, at)


def _overwrite(data: bytes, rng: random.Random) -> Change:
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice((rng.randrange(1, 9), rng.randrange(1, 2_000))))
    new = rng.choice((bytes(last - first), b"\xff" * (last - first), rng.randbytes(last - first)))
    return Change("overwrite", data[:first] + new + data[last:], first, last)


def _swap(data: bytes, rng: random.Random) -> Change:
    size = rng.randrange(1, 500)
    first, second = sorted((rng.randrange(len(data) - size), rng.randrange(len(data) - size)))
    second = max(second, first + size)
    swapped = data[:first] + data[second : second + size] + data[first + size : second] + data[first : first + size]
    return Change("swap", swapped + data[second + size :], first, second + size)


def _repeat(data: bytes, rng: random.Random) -> Change:
    at = rng.randrange(len(data))
    return Change("repeat", data[:at] + data[at : at + rng.randrange(1, 3_000)] + data[at:], at, at)


def _number(data: bytes, rng: random.Random) -> Change:
    """A number of the header replaced by one that programs trip over."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(rng.choice((64, 200)))
    value = rng.choice((0, 1, 255, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)) % 256**width
    new = value.to_bytes(width, rng.choice(("little", "big")))
    return Change("number", data[:at] + new + data[at + width :], at, at + width)


CHANGES: tuple[Callable[[bytes, random.Random], Change], ...] = (
    lambda data, rng: _flip(data, rng, 1, len(data)),
    lambda data, rng: _flip(data, rng, 8, len(data)),
    lambda data, rng: _flip(data, rng, rng.randrange(1, 5), min(len(data), 300)),
    _cut,
    _delete,
    _insert,
    _overwrite,
    _swap,
    _repeat,
    _number,
)


def judge(path: Path, change: Change, size: int, expected: NDArray[np.float32]) -> Verdict:
    """Read a mutant, and compare it with the undamaged waveform [n], whose file has `size` bytes."""
    begin = time.monotonic()
    try:
        found = load_recording(path)
    except InputError as error:
        kind = "refused" if str(error).startswith(f"{path}: ") else "trace"
        verdict = Verdict(kind, str(error))
    except Exception as error:
        verdict = Verdict("trace", f"{type(error).__name__}: {error}")
    else:
        verdict = compare(found.waveform, expected, change, size)
        if verdict.kind == "differs" and any(SLACK_NOTE in note for note in found.notes):
            verdict = Verdict("noted", found.notes[0])
    return verdict if time.monotonic() - begin < HANG_SECONDS else Verdict("hang")


def compare(waveform: NDArray[np.float32], expected: NDArray[np.float32], change: Change, size: int) -> Verdict:
    """`same`; `local` where only what was changed differs; `padded` with an encoder's silence; else `differs`."""
    lacking = len(expected) - len(waveform)
    if 0 < lacking < PACKET_SAMPLES and change.name not in ("cut", "delete"):  # of a last packet that was overwritten
        return compare(np.pad(waveform, (0, lacking), constant_values=np.nan), expected, change, size)
    if lacking:
        lag = _lag(waveform, expected)
        if lag is not None and compare(waveform[lag : lag + len(expected)], expected, change, size).kind != "differs":
            return Verdict("padded", f"{len(waveform) - len(expected)} samples more")
        if change.name in LONGER and _agrees_around(waveform, expected, change.first / size):
            return Verdict("local", f"{len(waveform) - len(expected)} samples more")
        return Verdict("differs", f"{len(waveform)} samples for {len(expected)}")
    wrong = np.flatnonzero(~(np.abs(waveform - expected) < AGREES))
    if not len(wrong):
        return Verdict("same")
    first, last = (place / size * len(expected) / RATE for place in (change.first, change.last))
    if wrong[0] / RATE >= first - MARGIN and wrong[-1] / RATE <= last + MARGIN:
        return Verdict("local")
    return Verdict("differs", f"{wrong[0] / RATE:.2f} to {wrong[-1] / RATE:.2f} s, changed {first:.2f} to {last:.2f} s")


def _agrees_around(waveform: NDArray[np.float32], expected: NDArray[np.float32], place: float) -> bool:
    """Whether a longer waveform differs only by what stands at that place, a fraction of the file: repeated frames.

    What the encoder added at both ends may be there: the first frame, which states it, is no longer true of the file.
    """
    middle, margin = int(place * len(expected)), int(MARGIN * RATE)
    before, behind = max(middle - margin, 0), min(middle + margin, len(expected))
    reach = range(min(ENCODER_SAMPLES, len(waveform) - len(expected)))
    begins = (waveform[added : added + before] for added in reach)
    ends = (waveform[behind - len(expected) - added : len(waveform) - added] for added in reach)
    return _is_among(expected[:before], begins) and _is_among(expected[behind:], ends)


def _is_among(part: NDArray[np.float32], candidates: Iterable[NDArray[np.float32]]) -> bool:
    return any(np.abs(candidate - part).max(initial=0) < AGREES for candidate in candidates)


def _lag(waveform: NDArray[np.float32], expected: NDArray[np.float32]) -> int | None:
    """At which sample of a longer waveform the expected one begins, by its second half; None where it does not."""
    middle = len(expected) // 2
    half = expected[middle:]
    for lag in range(min(ENCODER_SAMPLES, len(waveform) - len(expected)) + 1):
        if np.abs(waveform[lag + middle : lag + middle + 64] - half[:64]).max() < AGREES:
            return lag
    return None


def run(count: int, seed: int, folder: Path, keep: Path | None = None) -> Mapping[tuple[str, str], int]:
    """Make and judge that many mutants; (format, verdict) → how many. Faulty ones are kept where a folder is given."""
    rng, outcome = random.Random(seed), Counter[tuple[str, str]]()
    seeds = write_seeds(folder)
    expected = {name: load_recording(path).waveform for name, path in seeds.items()}
    contents = {name: path.read_bytes() for name, path in seeds.items()}
    for index in range(count):
        name = list(seeds)[index % len(seeds)]
        change = rng.choice(CHANGES)(contents[name], rng)
        path = folder / f"mutant.{name}"
        path.write_bytes(change.data)
        verdict = judge(path, change, len(contents[name]), expected[name])
        outcome[name, verdict.kind] += 1
        if verdict.kind in FAULTS:
            print(f"{name} {change.name} {index}: {verdict.kind}, {verdict.detail}", file=sys.stderr, flush=True)
            if keep:
                (keep / f"{seed}-{index}-{change.name}.{name}").write_bytes(change.data)
    return outcome


if __name__ == "__main__":
    run_command(run, default=10_000, harmless=("refused", "same", "local", "padded", "noted"), width=9)
