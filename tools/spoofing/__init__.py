"""Generators of spoofed speech, built on pip packages: one family per file, all listed in ATTACKS.

phase.py          keeps the magnitude and generates the phase: Griffin-Lim, phase vocoder
source_filter.py  WORLD and linear prediction: copy synthesis, voice conversion
espeak.py         text-to-speech, alone and followed by voice conversion
request.py        the input of a generator
spectrum.py       the signal processing that the families share
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spoofcache.tools.spoofing.espeak import converted_speech, formant_speech, klatt_speech
from spoofcache.tools.spoofing.phase import griffin_lim, shift_pitch
from spoofcache.tools.spoofing.request import Generator
from spoofcache.tools.spoofing.source_filter import lpc_vocoder, world_convert, world_copy


@dataclass(frozen=True)
class Attack:
    """A generator and how it is used."""

    generator: Generator
    family: str
    known: bool
    """Whether the attack is in train and dev; if not, it is in eval only."""
    imitates: bool
    """Whether it imitates another speaker than that of the source; copy synthesis keeps the speaker."""


VOCODER, CONVERSION, SPEECH = "copy synthesis", "voice conversion", "text to speech"

ATTACKS: Mapping[str, Attack] = {
    "A01": Attack(griffin_lim, VOCODER, known=True, imitates=False),
    "A02": Attack(world_copy, VOCODER, known=True, imitates=False),
    "A03": Attack(world_convert, CONVERSION, known=True, imitates=True),
    "A04": Attack(klatt_speech, SPEECH, known=True, imitates=True),
    "A05": Attack(lpc_vocoder, VOCODER, known=False, imitates=False),
    "A06": Attack(shift_pitch, CONVERSION, known=False, imitates=True),
    "A07": Attack(formant_speech, SPEECH, known=False, imitates=True),
    "A08": Attack(converted_speech, SPEECH, known=False, imitates=True),
}
