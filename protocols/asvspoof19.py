"""ASVspoof 2019 LA and PA, and any protocol file of their form.

A line has five columns: speaker, utterance, environment id (`-` in LA), attack id (`-` for bona fide), key.
Counts: ASVspoof 2019 evaluation plan; those of LA recounted in the official protocol files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from protocols.trial import ProtocolError, Trial, read_columns

COLUMNS = "speaker utterance environment attack key"
PROTOCOL_SUFFIX: Mapping[str, str] = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}


class Counts(NamedTuple):
    """Published numbers of trials in a partition."""

    bonafide: int
    spoof: int


COUNTS: Mapping[str, Mapping[str, Counts]] = {
    "LA": {"train": Counts(2_580, 22_800), "dev": Counts(2_548, 22_296), "eval": Counts(7_355, 63_882)},
    "PA": {"train": Counts(5_400, 48_600), "dev": Counts(5_400, 24_300), "eval": Counts(18_090, 116_640)},
}


def read_protocol(path: Path) -> list[Trial]:
    """Read a five-column protocol file, in its order; ProtocolError names the line that is wrong."""
    return read_columns(path, COLUMNS)


def read_partition(root: Path, scenario: str, partition: str) -> tuple[list[Trial], Path]:
    """Trials and audio folder of one partition in the official layout below `root`.

    Args:
        root: the folder that holds `ASVspoof2019_LA_cm_protocols`, `ASVspoof2019_LA_train`, ….
        scenario: `LA` or `PA`.
        partition: `train`, `dev` or `eval`.

    Raises:
        ProtocolError: unknown partition, a broken line, or counts that differ from the published ones.
    """
    if partition not in PROTOCOL_SUFFIX:
        raise ProtocolError(f"partition {partition!r} of ASVspoof 2019 {scenario}; expected train, dev or eval")
    name = f"ASVspoof2019.{scenario}.cm.{PROTOCOL_SUFFIX[partition]}.txt"
    path = root / f"ASVspoof2019_{scenario}_cm_protocols" / name
    if not path.is_file():
        raise ProtocolError(f"{path}: no such file; expected the official ASVspoof 2019 layout below {root}")
    trials = read_protocol(path)
    n_bonafide = sum(trial.label for trial in trials)
    found, published = Counts(n_bonafide, len(trials) - n_bonafide), COUNTS[scenario][partition]
    if found != published:
        raise ProtocolError(
            f"{path}: {found.bonafide} bona fide and {found.spoof} spoof trials; "
            f"expected the published {published.bonafide} and {published.spoof}"
        )
    return trials, root / f"ASVspoof2019_{scenario}_{partition}" / "flac"
