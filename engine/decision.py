"""What a run knows of its own scores: the calibration and the threshold that were fitted on a set of scored trials.

`calibration.json` in the run folder holds one for each kind of weights (`best`, `average`), with the SHA-256 of the
weights that made the scores, so that it is never used for others.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.files import atomic_path
from spoofcache.engine.about import RunError
from spoofcache.metrics.calibration import fit_calibration
from spoofcache.metrics.det import FloatArray, equal_error_rate

CALIBRATION = "calibration.json"
"""Name of the file in a run folder."""


@dataclass(frozen=True)
class Decision:
    """How a score becomes a log-likelihood ratio, a probability and a verdict.

    Attributes:
        slope: the natural-log likelihood ratio of bona fide against spoof is `slope`·score + `offset`.
        offset: see `slope`.
        threshold: the score from which on a recording is called bona fide: that of the equal error rate.
        eer: the equal error rate there, a fraction.
        fitted_on: name of the set of trials that all of this was fitted on.
        n_bonafide: number of its bona fide trials.
        n_spoof: number of its spoof trials.
        weights_sha256: SHA-256 of the file of the weights that made the scores.
    """

    slope: float
    offset: float
    threshold: float
    eer: float
    fitted_on: str
    n_bonafide: int
    n_spoof: int
    weights_sha256: str

    def llr(self, scores: FloatArray) -> FloatArray:
        """Calibrated natural-log likelihood ratios [N] of scores [N]."""
        return self.offset + self.slope * scores

    @property
    def origin(self) -> str:
        """Where the threshold comes from, as a phrase."""
        return (
            f"the threshold of the EER ({self.eer:.2%}) on {self.fitted_on} ({self.n_bonafide:,} bona fide and "
            f"{self.n_spoof:,} spoof trials)"
        )


def probability(llr: float, prior: float) -> float:
    """The probability of bona fide for a natural-log likelihood ratio, if a share `prior` of recordings is bona fide.

    The logistic function of llr + ln(prior / (1 − prior)): Bayes' theorem in odds.

    >>> probability(0.0, 0.5), round(probability(math.log(3), 0.25), 12)
    (0.5, 0.5)
    """
    log_odds = llr + math.log(prior) - math.log1p(-prior)
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def fit_decision(scores: FloatArray, is_bonafide: NDArray[np.bool_], fitted_on: str, weights_sha256: str) -> Decision:
    """Fit calibration and threshold on scores [N] with their keys [N].

    Raises:
        ScoreError: the scores do not allow it: a class is missing, all scores are equal, or spoof has the higher ones.
    """
    rate = equal_error_rate(scores[is_bonafide], scores[~is_bonafide])
    calibration = fit_calibration([scores], is_bonafide)
    n_bonafide = int(np.count_nonzero(is_bonafide))
    return Decision(
        slope=float(calibration.weights[0]),
        offset=calibration.offset,
        threshold=rate.threshold,
        eer=rate.rate,
        fitted_on=fitted_on,
        n_bonafide=n_bonafide,
        n_spoof=len(is_bonafide) - n_bonafide,
        weights_sha256=weights_sha256,
    )


def write_decision(run: Path, which: str, decision: Decision) -> None:
    """Keep a decision in the run folder, for `best` or `average` weights; an earlier one for them is replaced."""
    known = _read(run) if (run / CALIBRATION).exists() else {}
    with atomic_path(run / CALIBRATION) as path:
        path.write_text(json.dumps({**known, which: asdict(decision)}, indent=1) + "\n", encoding="utf-8")


def read_decision(run: Path, which: str, weights_sha256: str) -> Decision | None:
    """The decision that was fitted for the weights with this SHA-256; None if there is none for them.

    Raises:
        RunError: the file is damaged.
    """
    try:
        fields = _read(run).get(which)
    except FileNotFoundError:
        return None
    if fields is None:
        return None
    decision = _from_fields(run / CALIBRATION, which, fields)
    return decision if decision.weights_sha256 == weights_sha256 else None


def _read(run: Path) -> Mapping[str, Any]:
    path = run / CALIBRATION
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged; delete it, and fit the calibration again with tools/calibrate.py") from error
    if not isinstance(entries, dict):
        raise RunError(f"{path}: not the calibration of a run; expected an entry for the best weights")
    return entries


def _from_fields(path: Path, which: str, fields: object) -> Decision:
    expected = {name: (int, float) if kind is float else (kind,) for name, kind in Decision.__annotations__.items()}
    fits = isinstance(fields, dict) and fields.keys() == expected.keys()
    if not fits or any(type(fields[name]) not in kinds for name, kinds in expected.items()):  # type: ignore[index]
        raise RunError(f"{path}: {which} is not a calibration; expected {', '.join(expected)}")
    decision = Decision(**fields)  # type: ignore[arg-type]
    if not (0 < decision.slope < math.inf and math.isfinite(decision.offset) and not math.isnan(decision.threshold)):
        found = f"slope {decision.slope}, offset {decision.offset}, threshold {decision.threshold}"
        raise RunError(f"{path}: {found}; expected finite numbers and a slope above 0")
    return decision
