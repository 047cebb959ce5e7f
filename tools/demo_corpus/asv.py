"""A simple speaker verification system: MFCC statistics, scored by the cosine to the mean of enrolment recordings.

The system need not be good: the t-DCF only requires an ASV system with known error rates that accepts some spoofs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import librosa
import numpy as np

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.metrics.det import ScoreError, equal_error_rate
from spoofcache.metrics.tdcf import asv_error_rates, coefficients_2019
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus.recordings import SpeechError
from spoofcache.tools.spoofing.spectrum import FloatArray

N_MFCC = 20


def embed(waveform: Waveform) -> FloatArray:
    """Mean and standard deviation over time of MFCCs 1 to 19 of a waveform [n]: [38]. MFCC 0, the level, is omitted."""
    mfcc = librosa.feature.mfcc(y=waveform, sr=SAMPLE_RATE, n_mfcc=N_MFCC, n_fft=512, hop_length=256)[1:]
    return np.concatenate((mfcc.mean(axis=1), mfcc.std(axis=1))).astype(np.float64)


class AsvScore(NamedTuple):
    """One line of an ASV score file."""

    attack: str
    """Attack id, or `bonafide`."""
    key: str
    """`target`, `nontarget` or `spoof`."""
    score: float


class Verifier:
    """Models of enrolled speakers; `score` measures how similar an utterance is to one of them."""

    def __init__(self, enrolment: Mapping[str, Sequence[FloatArray]]) -> None:
        everyone = np.concatenate([np.stack(embeddings) for embeddings in enrolment.values()])
        within = np.concatenate([np.stack(e) - np.mean(e, axis=0) for e in enrolment.values()])
        self._mean = everyone.mean(axis=0)
        self._scale = within.std(axis=0)
        self._models = {speaker: self._normalise(np.mean(e, axis=0)) for speaker, e in enrolment.items()}

    def judge(self, trials: Iterable[tuple[str, str, FloatArray]]) -> list[AsvScore]:
        """Score trials of (attack, claimed speaker, embedding [38]).

        Bona fide trials are scored against all models, and spoofs against that of the claimed speaker only.
        """
        rows: list[AsvScore] = []
        for attack, claimed, embedding in trials:
            if attack != UNKNOWN:
                rows.append(AsvScore(attack, "spoof", self.score(embedding, claimed)))
                continue
            for speaker in self._models:
                key = "target" if speaker == claimed else "nontarget"
                rows.append(AsvScore("bonafide", key, self.score(embedding, speaker)))
        return rows

    def score(self, embedding: FloatArray, speaker: str) -> float:
        """Cosine (−1 to 1) between an utterance [38] and the model of a speaker; a higher score means more similar."""
        return float(self._normalise(embedding) @ self._models[speaker])

    def _normalise(self, embedding: FloatArray) -> FloatArray:
        centred = (embedding - self._mean) / self._scale
        return centred / np.linalg.norm(centred)


def check_tdcf(rows: Sequence[AsvScore], partition: str) -> float:
    """The EER between target and nontarget trials of a partition, as a fraction.

    Raises:
        SpeechError: a class of trials is missing, the EER is not better than chance, or the t-DCF is undefined.
    """
    by_key = {key: [row.score for row in rows if row.key == key] for key in ("target", "nontarget", "spoof")}
    try:
        eer = equal_error_rate(by_key["target"], by_key["nontarget"])
        rates = asv_error_rates(**by_key, threshold=eer.threshold)
        coefficients_2019(rates)  # checks C1 and C2, which depend on the ASV system alone
    except ScoreError as error:
        raise SpeechError(f"{partition}: {error}") from error
    if eer.rate >= 0.5:
        raise SpeechError(
            f"{partition}: the speaker verification system has an EER of {eer.rate:.1%}; expected less than 50 %: "
            "check that --speaker distinguishes the speakers"
        )
    return eer.rate
