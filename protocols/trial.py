"""One trial of a countermeasure protocol, and the polarity that the whole house keeps."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CLASS_INDEX: Mapping[str, int] = {"spoof": 0, "bonafide": 1}
"""Class index of each key, everywhere inside: bona fide = 1, spoof = 0. A higher score is more bona fide."""

UNKNOWN = "-"
"""What stands in a column that a protocol does not tell; bona fide trials have no attack."""

COLUMNS = ("utt_id", "speaker", "attack", "key")


class ProtocolError(ValueError):
    """A protocol that cannot be trusted: the message names file, line, value and what was expected."""


@dataclass(frozen=True)
class Trial:
    """One utterance to be judged.

    `path` is None where the audio is not at hand (a trial read from a cache's snapshot). `conditions` holds
    what else the protocol says of the utterance (`environment` in ASVspoof 2019 PA), by column name.
    """

    utt_id: str
    key: str
    attack: str = UNKNOWN
    speaker: str = UNKNOWN
    path: Path | None = None
    conditions: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> int:
        """Class index of the key."""
        return CLASS_INDEX[self.key]


def check_unique(trials: Iterable[Trial], source: Path) -> None:
    """ProtocolError for the first utterance that stands twice; `source` is the file to name."""
    first_line: dict[str, int] = {}
    for line, trial in enumerate(trials, 1):
        if trial.utt_id in first_line:
            raise ProtocolError(
                f"{source}:{line}: utterance {trial.utt_id} stands on line "
                f"{first_line[trial.utt_id]} already; expected every utterance once"
            )
        first_line[trial.utt_id] = line


def snapshot(trials: Sequence[Trial]) -> bytes:
    """The trial list as tab-separated text with a header, the content of a cache's `trials.tsv`.

    Columns `utt_id speaker attack key`, then the conditions; paths stay out, so that the same protocol gives the
    same bytes on every machine.
    """
    conditions = sorted({name for trial in trials for name in trial.conditions})
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow((*COLUMNS, *conditions))
    for t in trials:
        row = (t.utt_id, t.speaker, t.attack, t.key)
        table.writerow((*row, *(t.conditions.get(name, UNKNOWN) for name in conditions)))
    return text.getvalue().encode()


def snapshot_sha256(content: bytes) -> str:
    """Hash by which a shard names the trial list that it was cut from."""
    return hashlib.sha256(content).hexdigest()


def read_snapshot(path: Path) -> list[Trial]:
    """Read a cache's `trials.tsv` back (trials without paths)."""
    table = csv.reader(io.StringIO(read_text(path, f"a table of {' '.join(COLUMNS)}"), newline=""), delimiter="\t")
    header = tuple(next(table, ()))
    if header[: len(COLUMNS)] != COLUMNS:
        raise ProtocolError(f"{path}:1: header {' '.join(header) or 'missing'}; expected {' '.join(COLUMNS)}")
    return [_from_row(path, line, header, row) for line, row in enumerate(table, 2)]


def _from_row(path: Path, line: int, header: tuple[str, ...], row: list[str]) -> Trial:
    if len(row) != len(header):
        raise ProtocolError(f"{path}:{line}: {len(row)} columns; expected {len(header)}: {' '.join(header)}")
    utt_id, speaker, attack, key = row[: len(COLUMNS)]
    check_key(key, path, line)
    named = zip(header[len(COLUMNS) :], row[len(COLUMNS) :], strict=True)
    return Trial(utt_id, key, attack, speaker, conditions={name: value for name, value in named if value != UNKNOWN})


def read_text(path: Path, expected: str) -> str:
    """The text of a UTF-8 file; ProtocolError names the line that is none, and says what was `expected`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ProtocolError(f"{path}:{line}: byte 0x{byte:02x} is not text; expected {expected}") from error


def check_key(key: str, source: Path, line: int) -> None:
    """ProtocolError unless `key` is one of CLASS_INDEX."""
    if key not in CLASS_INDEX:
        raise ProtocolError(f"{source}:{line}: key {key!r}; expected bonafide or spoof")
