"""A plain speaker verification system: statistics of MFCCs, cosine to the mean of some enrolment recordings.

It is no good system, and need not be: the t-DCF wants an ASV system whose error rates are known and that spoofs
deceive now and then.
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
    """Mean and standard deviation over time of MFCCs 1 to 19 (without the level) of a waveform [n]: [38]."""
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
    """Enrolled speakers; `score` says how much an utterance sounds like one of them."""

    def __init__(self, enrolment: Mapping[str, Sequence[FloatArray]]) -> None:
        everyone = np.concatenate([np.stack(embeddings) for embeddings in enrolment.values()])
        within = np.concatenate([np.stack(e) - np.mean(e, axis=0) for e in enrolment.values()])
        self._mean = everyone.mean(axis=0)
        self._scale = within.std(axis=0)
        self._models = {speaker: self._normalise(np.mean(e, axis=0)) for speaker, e in enrolment.items()}

    def judge(self, trials: Iterable[tuple[str, str, FloatArray]]) -> list[AsvScore]:
        """Score (attack, claimed speaker, embedding [38]) trials: bona fide against all models, spoofs one."""
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
        """Cosine in −1…1 between an utterance [38] and a speaker's model; higher is more alike."""
        return float(self._normalise(embedding) @ self._models[speaker])

    def _normalise(self, embedding: FloatArray) -> FloatArray:
        centred = (embedding - self._mean) / self._scale
        return centred / np.linalg.norm(centred)


def check_tdcf(rows: Sequence[AsvScore], partition: str) -> float:
    """The EER between target and nontarget trials of a partition, a fraction.

    Raises:
        SpeechError: a class of trials is missing, the EER is no better than chance, or the t-DCF is undefined.
    """
    by_key = {key: [row.score for row in rows if row.key == key] for key in ("target", "nontarget", "spoof")}
    try:
        eer = equal_error_rate(by_key["target"], by_key["nontarget"])
        rates = asv_error_rates(**by_key, threshold=eer.threshold)
        coefficients_2019(rates)  # for its check of C1 and C2, which the ASV system alone decides
    except ScoreError as error:
        raise SpeechError(f"{partition}: {error}") from error
    if eer.rate >= 0.5:
        raise SpeechError(
            f"{partition}: the speaker verification system has an EER of {eer.rate:.1%}; expected less than 50 %: "
            "are the speakers told apart rightly (--speaker)?"
        )
    return eer.rate
