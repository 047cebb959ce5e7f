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
"""Metres at least between a wall and the speaker or the microphone."""


@dataclass(frozen=True)
class Reverb(Effect):
    """An impulse response drawn from a folder, such as `simulated_rirs/` of OpenSLR 28, which also holds noises.

    Of several microphones the first is heard: their average would be a comb filter.
    """

    name: ClassVar[str] = "reverb"
    folder: Recordings

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return reverberate(waveform, load_waveform(self.folder.draw(rng), channel=0, at_least=1))


@dataclass(frozen=True)
class Room(Effect):
    """A simulated room: a box of random size with `rt60` seconds of reverberation, places at random.

    By image sources alone, which leave nothing to chance; the simulator's ray tracing would draw from a generator
    that the whole process shares. The time is Sabine's: what comes out is longer in a large room, shorter in a
    small dead one.
    """

    name: ClassVar[str] = "room"
    rt60: Range = field(default=Range(0.2, 0.5), metadata={"within": Range(0.15, 1)})

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        return reverberate(waveform, simulate_room(self.rt60.draw(rng), rng))


def simulate_room(rt60: float, rng: np.random.Generator) -> np.ndarray:
    """Impulse response at 16 kHz from a random place to another in a random room.

    Source: Allen, Berkley: Image method for efficiently simulating small-room acoustics, JASA 1979, as in
    pyroomacoustics; the absorption that gives `rt60` by Sabine's formula.
    """
    import pyroomacoustics  # here, not above: whoever simulates nothing must not wait for it

    pyroomacoustics.constants.set("num_threads", 1)  # its sums depend on their number
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

    The response's largest peak, the direct sound as a rule, stays at lag 0; what rings on after the end is cut.
    """
    from scipy.signal import fftconvolve  # here, not above: as pyroomacoustics

    energy = np.sum(np.square(response, dtype=np.float64))
    onset = int(np.abs(response).argmax())
    wet = fftconvolve(waveform.astype(np.float64), response)[onset:][: len(waveform)]
    return wet / np.sqrt(energy) if energy > 0 else waveform
