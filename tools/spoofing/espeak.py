"""Text-to-speech with the two synthesisers of espeak-ng, alone or followed by voice conversion."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import soxr

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing import espeak_process
from spoofcache.tools.spoofing.request import Request
from spoofcache.tools.spoofing.source_filter import world_convert
from spoofcache.tools.spoofing.spectrum import through_channel

FORMANT_VOICES = ("en-us", "en-us+f3", "en+m3", "fr+f2", "it+m1", "es+f4", "ru+f1")
"""Seven voices of the sinusoidal formant synthesiser, in five languages."""
KLATT_VOICES = ("en-us+klatt3", "en+klatt6", "fr+klatt3", "it+klatt6", "es+klatt3", "ru+klatt6")
"""Voices of the cascade/parallel synthesiser (Klatt, JASA 67(3), 1980) and its successor; variants 1, 2, 4, 5 click."""
CHARACTERS_PER_SECOND = 14

TEXTS: Mapping[str, Sequence[str]] = {
    "en": (
        "The meeting has been moved to Thursday afternoon.",
        "Please leave your name and a short message.",
        "Our office is open from nine until half past five.",
        "The train to the coast leaves from platform four.",
        "You have two new letters and one old parcel.",
        "Rain is expected in the north before the evening.",
        "Thank you very much.",
        "One moment, please.",
    ),
    "fr": (
        "La réunion est reportée à jeudi après-midi.",
        "Veuillez laisser votre nom et un court message.",
        "Notre bureau est ouvert de neuf heures à cinq heures et demie.",
        "Le train pour la côte part du quai numéro quatre.",
        "Merci beaucoup.",
        "Un instant, s'il vous plaît.",
    ),
    "it": (
        "La riunione è stata spostata a giovedì pomeriggio.",
        "Lasciate il vostro nome e un breve messaggio.",
        "Il nostro ufficio è aperto dalle nove alle cinque e mezza.",
        "Il treno per la costa parte dal binario quattro.",
        "Grazie mille.",
        "Un momento, per favore.",
    ),
    "es": (
        "La reunión se ha pasado al jueves por la tarde.",
        "Por favor, deje su nombre y un mensaje corto.",
        "Nuestra oficina está abierta de nueve a cinco y media.",
        "El tren a la costa sale del andén número cuatro.",
        "Muchas gracias.",
        "Un momento, por favor.",
    ),
    "ru": (
        "Встреча перенесена на четверг после обеда.",
        "Оставьте, пожалуйста, ваше имя и короткое сообщение.",
        "Наша контора открыта с девяти до половины шестого.",
        "Поезд на побережье отходит от четвёртой платформы.",
        "Большое спасибо.",
        "Одну минуту, пожалуйста.",
    ),
}
"""Language of a voice → sentences, written for this project."""


def formant_speech(request: Request) -> Waveform:
    """A text about as long as the source, in one of FORMANT_VOICES, with the channel of the target."""
    return _speak(request, FORMANT_VOICES)


def klatt_speech(request: Request) -> Waveform:
    """A text about as long as the source, in one of KLATT_VOICES, with the channel of the target."""
    return _speak(request, KLATT_VOICES)


def converted_speech(request: Request) -> Waveform:
    """Text-to-speech converted to the voice of the target, like the hybrid attacks of ASVspoof 2019 (A13 to A15)."""
    return world_convert(replace(request, source=_speak(request, FORMANT_VOICES)))


def _speak(request: Request, voices: Sequence[str]) -> Waveform:
    voice = voices[int(request.rng.integers(len(voices)))]
    seconds = len(request.source) / SAMPLE_RATE
    text = _text(TEXTS[voice[:2]], seconds, request.rng)
    pitch, seed = request.rng.integers(30, 70), request.rng.integers(2**31)
    command = [sys.executable, "-P", espeak_process.__file__, voice, str(seconds), str(pitch), str(seed)]
    child = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if child.returncode or not child.stdout:
        raise OSError(f"espeak-ng, voice {voice}: {child.stderr.decode().strip() or 'no samples'}")
    samples = np.frombuffer(child.stdout, "<i2").astype(np.float32) / 32_768
    speech = soxr.resample(samples, espeak_process.SAMPLE_RATE, SAMPLE_RATE)
    return through_channel(speech, request.target.channel, request.rng)


def _text(sentences: Sequence[str], seconds: float, rng: np.random.Generator) -> str:
    """Random sentences without repetition that take about `seconds` to speak."""
    text = ""
    for k in rng.permutation(len(sentences)):
        left = CHARACTERS_PER_SECOND * seconds - len(text)
        if abs(left - len(sentences[k])) < abs(left):
            text = f"{text} {sentences[k]}".strip()
    return text or min(sentences, key=len)
