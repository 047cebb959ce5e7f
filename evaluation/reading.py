"""How the files of an evaluation are read where their contents leave something open: what the user says about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spoofcache.common.tables.columns import tables
from spoofcache.common.tables.layout import TableError, read_lines
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_columns import score_columns
from spoofcache.protocols.forms import explain_protocol

SCORES_FIRST = ("utterance", "utt_id", "file", "filename", "score")
"""Columns that a number names in the score files, even where there is a protocol."""
SCOPES = ("scores", "protocol")


@dataclass(frozen=True)
class Reading:
    """What the user says about the files.

    Attributes:
        columns: our name of a column → its header or number (`--column`). A header names the column in every file that
            has it. A number names a column of the score files for `utterance` and `score` and where there is no
            protocol, and of the protocols otherwise. `scores.key` and `protocol.key` say which files are meant.
        asv_key: the trial list that belongs to ASV scores without classes, as ASVspoof 2021 published them.
        asv_anyway: use ASV scores even where they seem to be those of another edition than the protocol.
        explain: note how the columns of every file were understood.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    asv_key: Path | None = None
    asv_anyway: bool = False
    explain: bool = False

    def of_scores(self, path: Path, has_protocol: bool) -> dict[str, str]:
        """The columns that the user names in a score file."""
        return self._columns(path, "scores", has_protocol)

    def of_protocol(self, path: Path) -> dict[str, str]:
        """The columns that the user names in a protocol."""
        return self._columns(path, "protocol", True)

    def _columns(self, path: Path, scope: str, has_protocol: bool) -> dict[str, str]:
        chosen = {}
        for name, reference in self.columns.items():
            said, dot, bare = name.partition(".")
            if dot and said in SCOPES:
                if said == scope:
                    chosen[bare] = reference
            elif self._is_meant(path, name, scope if has_protocol else ""):
                chosen[name] = reference
        return chosen

    def _is_meant(self, path: Path, name: str, scope: str) -> bool:
        """Whether a name without a scope is one of this file's; without a protocol (an empty scope) all are."""
        reference = self.columns[name]
        if not scope:
            return True
        if name == "score" or reference.isdecimal():
            return (name in SCORES_FIRST) == (scope == "scores")
        return _has_header(path, reference)

    def require_used(self, scores: Sequence[Path], protocols: Sequence[Path]) -> None:
        """ScoreError for a column that no file has."""
        used = {name for path in protocols for name in self.of_protocol(path)}
        used |= {name for path in scores for name in self.of_scores(path, bool(protocols))}
        for name, reference in self.columns.items():
            said, dot, bare = name.partition(".")
            if (bare if dot and said in SCOPES else name) not in used:
                files = ", ".join(map(str, [*scores, *protocols]))
                raise ScoreError(f"--column {name}={reference}: no file has such a column; expected one of {files}")

    def explanations(self, scores: Sequence[Path], protocols: Sequence[Path]) -> list[str]:
        """How the columns of each file were understood, if the user wants to know."""
        if not self.explain:
            return []
        said = [f"{path}: {explain_protocol(path, self.of_protocol(path))}." for path in protocols]
        for path in scores:
            found = score_columns(path, self.of_scores(path, bool(protocols)))
            said.append(f"{path}: {found.table.describe()}; {found}.")
        return said


def _has_header(path: Path, reference: str) -> bool:
    try:
        lines = read_lines(path, "a table", printable=False)
        return any(table.header and table.column(reference) for table in tables(lines, [reference]))
    except TableError:
        return False
