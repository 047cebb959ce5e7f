"""ASVspoof 2019 LA and PA, and any protocol file of their form.

Each line has five columns: speaker, utterance, environment id (`-` in LA), attack id (`-` for bona fide), key.
The counts are those of the ASVspoof 2019 evaluation plan; those of LA were verified with the official protocol files.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.columns import read_columns
from spoofcache.protocols.corpus import OFFICIAL, Corpus, Counts, Location, check_counts, require
from spoofcache.protocols.trial_table import TrialTable

COLUMNS = "speaker utterance environment attack key"
PROTOCOL_SUFFIX: Mapping[str, str] = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}

COUNTS: Mapping[str, Mapping[str, Counts]] = {
    "LA": {"train": Counts(2_580, 22_800), "dev": Counts(2_548, 22_296), "eval": Counts(7_355, 63_882)},
    "PA": {"train": Counts(5_400, 48_600), "dev": Counts(5_400, 24_300), "eval": Counts(18_090, 116_640)},
}


def read_protocol(path: Path) -> TrialTable:
    """Read a five-column protocol file in its order; ProtocolError names the malformed line."""
    return read_columns(path, COLUMNS)


def read_partition(where: Location, partition: str, scenario: str) -> TrialTable:
    """The trials of one partition of `LA` or `PA` with their audio, in the official layout below the root.

    The root contains `ASVspoof2019_LA_cm_protocols`, `ASVspoof2019_LA_train`, ….

    Raises:
        ProtocolError: a line is malformed, or the counts differ from the published ones.
    """
    root = where.folder("root")
    name = f"ASVspoof2019.{scenario}.cm.{PROTOCOL_SUFFIX[partition]}.txt"
    path = root / f"ASVspoof2019_{scenario}_cm_protocols" / name
    trials = read_protocol(require(path, f"the official ASVspoof 2019 layout below {root}"))
    check_counts(trials, COUNTS[scenario][partition], path)
    return find_audio(trials, root / f"ASVspoof2019_{scenario}_{partition}" / "flac")


def read_one_file(where: Location, partition: str) -> TrialTable:
    """The trials of a protocol file of this form, with the audio of a folder."""
    return find_audio(read_protocol(where.folder("protocol")), where.folder("audio_dir"))


LA, PA = (
    Corpus(
        partial(read_partition, scenario=scenario),
        partitions=OFFICIAL,
        published={partition: counts.total for partition, counts in COUNTS[scenario].items()},
    )
    for scenario in ("LA", "PA")
)
STYLE = Corpus(read_one_file, needs=("protocol", "audio_dir"))
