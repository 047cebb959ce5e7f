"""What is judged: the trials of a test set, the scores of every system on them, the ASV system behind them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.dcf import Coefficients
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
    derived: Collection[str] = ()
    """Systems that were made from others (calibrated, fused): apart from the sign, warnings concern the originals."""
    notes: tuple[str, ...] = ()
    """Where everything came from, and how the derived systems were made."""
    warnings: tuple[str, ...] = ()
    """What could not be checked about all this."""
