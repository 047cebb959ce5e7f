"""Ways to fake speech, all from pip packages: one family of generators per file, listed in ATTACKS.

phase.py          magnitude kept, phase invented: Griffin-Lim; phase vocoder
source_filter.py  WORLD and linear prediction: copy synthesis; voice conversion
espeak.py         text to speech, alone and with voice conversion
request.py        what a generator gets; spectrum.py, what the families share
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spoofcache.tools.spoofing.espeak import converted_speech, formant_speech, klatt_speech
from spoofcache.tools.spoofing.phase import griffin_lim, shift_pitch
from spoofcache.tools.spoofing.request import Generator
from spoofcache.tools.spoofing.source_filter import lpc_vocoder, world_convert, world_copy


@dataclass(frozen=True)
class Attack:
    """A generator, and how it is used."""

    generator: Generator
    family: str
    known: bool
    """In train and dev; the others stand in eval only."""
    imitates: bool
    """The claimed speaker is another than the source's (a copy claims its own)."""


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
