"""An evaluation set: the trials of a test set, the scores of every system, and the ASV system behind them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.decision import Decision
from spoofcache.metrics.det import FloatArray
from spoofcache.metrics.scores import AsvScores


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The trials of one test set with N scores for each system, and the ASV system that stands behind them."""

    name: str
    trials: TrialList
    systems: Mapping[str, FloatArray] = field(default_factory=dict)
    """Scores [N] in the order of `trials`, by the system's name; a higher score means more bona fide."""
    asv: AsvScores | None = None
    costs_2021: Mapping[str, Coefficients] = field(default_factory=dict)
    """Coefficients of the t-DCF of 2021 by condition (`pooled`, `A07`, `alaw`, …), as ASVspoof 2021 published them."""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    """What systems that are runs know of their own scores, by the system's name: threshold and calibration."""
    derived: Collection[str] = ()
    """Systems that were derived from others (calibrated, fused); of them, only an inverted sign is reported."""
    notes: tuple[str, ...] = ()
    """Sentences on the files that were read, and on how the derived systems were computed."""
    warnings: tuple[str, ...] = ()
    """Sentences on what makes the set doubtful or could not be checked."""
