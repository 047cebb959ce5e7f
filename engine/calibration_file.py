"""The calibration and the threshold of a run, which were fitted on a set of scored trials.

`calibration.json` in the run folder holds one for each kind of weights (`best`, `average`), with the SHA-256 of the
weights that made the scores, so that it is never used for others.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spoofcache.common.files import atomic_path
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import PAIRS, read_about
from spoofcache.metrics.decision import Decision

CALIBRATION = "calibration.json"
"""Name of the file in a run folder."""


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


def weights_sha256(run: Path, which: str) -> str:
    """SHA-256 of the file of the `best` or `average` weights; runs of earlier versions do not record it."""
    weights, description, _ = PAIRS[which]
    recorded = read_about(run, description).weights_sha256
    return recorded or hashlib.sha256((run / weights).read_bytes()).hexdigest()


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
