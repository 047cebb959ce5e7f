"""Speak one text with espeak-ng and write raw int16 mono samples to standard output. Runs as a process of its own.

    python espeak_process.py VOICE SECONDS PITCH SEED < text

The library keeps state between utterances (the phase of its flutter, its random numbers), so only a new process gives
the same bytes for the same seed. Only ctypes and the standard library are imported, so that a process takes about
50 ms.
"""

import ctypes
import sys
import tempfile
from pathlib import Path

import espeakng_loader

SAMPLE_RATE = 22_050
"""Sample rate of all espeak-ng voices, in Hz."""

RATE, PITCH = 1, 3  # from enum espeak_PARAMETER in speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
DONT_EXIT = 0x8000
POS_CHARACTER, CHARS_UTF8 = 1, 1
USUAL_WPM, WPM_RANGE = 160, (110, 260)

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The loaded library; `speak` returns little-endian int16 samples."""

    def __init__(self, data_parent: Path, seed: int) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data_parent).encode(), DONT_EXIT)
        if rate != SAMPLE_RATE:
            sys.exit(f"espeak-ng did not start: sample rate {rate}; expected {SAMPLE_RATE}")
        self._chunks: list[bytes] = []
        self._callback = _Callback(self._receive)  # keeps it alive: the library has only its address
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        ctypes.CDLL(None).srand(seed)  # some of its noise comes from the C library

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        if samples and count:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def choose(self, voice: str, pitch: int) -> None:
        """Select a voice such as `fr+f2` and its pitch (0 to 99)."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"espeak-ng has no voice {voice!r}")
        self._library.espeak_SetParameter(PITCH, pitch, 0)

    def speak(self, text: bytes, words_per_minute: int) -> bytes:
        """The samples of a text in UTF-8."""
        self._chunks.clear()
        self._library.espeak_SetParameter(RATE, words_per_minute, 0)
        self._library.espeak_Synth(text, len(text) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        return b"".join(self._chunks)


def main(voice: str, seconds: float, pitch: int, seed: int) -> None:
    """Speak the text on standard input, at a rate with which it takes about `seconds`."""
    text = sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory(prefix="espeak") as short:  # the library truncates long data paths
        (Path(short) / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
        espeak = Espeak(Path(short), seed)
        espeak.choose(voice, pitch)
        usual = len(espeak.speak(text, USUAL_WPM)) / 2 / SAMPLE_RATE
        rate = min(max(round(USUAL_WPM * usual / seconds), WPM_RANGE[0]), WPM_RANGE[1])
        sys.stdout.buffer.write(espeak.speak(text, rate))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
