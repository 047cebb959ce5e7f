"""Reverberation: measured impulse responses, or rooms simulated by pyroomacoustics."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from spoofcache.features.augment.base import Effect, Range
from spoofcache.features.augment.recordings import Recordings
from spoofcache.features.waveform import SAMPLE_RATE, Waveform, load_waveform

ROOM = (Range(4, 8), Range(3, 6), Range(2.5, 3.5))
"""Length, width and height of a simulated room in metres."""

WALL_DISTANCE = 0.5
"""Smallest distance in metres between a wall and the speaker or the microphone."""


@dataclass(frozen=True)
class Reverb(Effect):
    """Applies an impulse response drawn from a folder, such as `simulated_rirs/` of OpenSLR 28, which also has noises.

    Only the first of several microphones is used, since their average would act as a comb filter.
    """

    name: ClassVar[str] = "reverb"
    folder: Recordings

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return reverberate(waveform, load_waveform(self.folder.draw(rng), channel=0, at_least=1))


@dataclass(frozen=True)
class Room(Effect):
    """Simulates a box-shaped room of random size with a reverberation time of `rt60` seconds and random positions.

    Only image sources are used, which are deterministic: the simulator's ray tracing would draw from a generator that
    the whole process shares. `rt60` is set by Sabine's formula; the actual time is longer in a large room, and shorter
    in a small room with much absorption.
    """

    name: ClassVar[str] = "room"
    rt60: Range = field(default=Range(0.2, 0.5), metadata={"within": Range(0.15, 1)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return reverberate(waveform, simulate_room(self.rt60.draw(rng), rng))


def simulate_room(rt60: float, rng: np.random.Generator) -> np.ndarray:
    """An impulse response at 16 kHz between two random positions in a random room.

    Source: Allen, Berkley: "Image method for efficiently simulating small-room acoustics", JASA 1979, as implemented in
    pyroomacoustics. The absorption gives `rt60` by Sabine's formula.
    """
    import pyroomacoustics  # imported here, since it is slow to import

    pyroomacoustics.constants.set("num_threads", 1)  # its sums depend on the number of threads
    size = [side.draw(rng) for side in ROOM]
    absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
    room = pyroomacoustics.ShoeBox(
        size, fs=SAMPLE_RATE, materials=pyroomacoustics.Material(absorption), max_order=order
    )
    room.add_source([rng.uniform(WALL_DISTANCE, side - WALL_DISTANCE) for side in size])
    room.add_microphone([rng.uniform(WALL_DISTANCE, side - WALL_DISTANCE) for side in size])
    room.compute_rir()
    return room.rir[0][0]


def reverberate(waveform: Waveform, response: np.ndarray) -> np.ndarray:
    """Waveform [n] convolved with the response [m], scaled to an energy of 1 → [n].

    The largest peak of the response, usually the direct sound, is moved to lag 0. Reverberation after the end is cut.
    """
    from scipy.signal import fftconvolve  # imported here, as pyroomacoustics

    energy = np.sum(np.square(response, dtype=np.float64))
    onset = int(np.abs(response).argmax())
    wet = fftconvolve(waveform.astype(np.float64), response)[onset:][: len(waveform)]
    return wet / np.sqrt(energy) if energy > 0 else waveform
