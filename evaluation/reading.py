"""The user's instructions for reading the files of an evaluation, for cases that their contents leave open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spoofcache.common.tables.columns import tables
from spoofcache.common.tables.layout import TableError, read_lines
from spoofcache.metrics.det import ScoreError

SCORES_FIRST = ("utterance", "utt_id", "file", "filename", "score")
"""For these columns, a number selects a column of the score files even if there is a protocol."""
SCOPES = ("scores", "protocol")


@dataclass(frozen=True)
class Reading:
    """The user's instructions for reading the files.

    Attributes:
        columns: maps our name of a column to its header or number (`--column`). A header selects the column in every
            file that has it. A number selects a column of the score files for `utterance` and `score`, or if there is
            no protocol, and otherwise a column of the protocols. `scores.key` and `protocol.key` choose explicitly.
        asv_key: the trial list for ASV scores without classes, such as those published for ASVspoof 2021.
        asv_anyway: use the ASV scores even if they seem to belong to another edition than the protocol.
        explain: add notes on how the columns of every file were understood.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    asv_key: Path | None = None
    asv_anyway: bool = False
    explain: bool = False

    def of_scores(self, path: Path, has_protocol: bool) -> dict[str, str]:
        """The columns of a score file that the user has named."""
        return self._columns(path, "scores", has_protocol)

    def of_protocol(self, path: Path) -> dict[str, str]:
        """The columns of a protocol that the user has named."""
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
        """Whether a name without a scope applies to this file. Without a protocol (an empty scope), all names do."""
        reference = self.columns[name]
        if not scope:
            return True
        if name == "score" or reference.isdecimal():
            return (name in SCORES_FIRST) == (scope == "scores")
        return _has_header(path, reference)

    def require_used(self, scores: Sequence[Path], protocols: Sequence[Path]) -> None:
        """Raise ScoreError for a column that no file has."""
        used = {name for path in protocols for name in self.of_protocol(path)}
        used |= {name for path in scores for name in self.of_scores(path, bool(protocols))}
        for name, reference in self.columns.items():
            said, dot, bare = name.partition(".")
            if (bare if dot and said in SCOPES else name) not in used:
                files = ", ".join(map(str, [*scores, *protocols]))
                raise ScoreError(f"--column {name}={reference}: no file has such a column; expected one of {files}")


def _has_header(path: Path, reference: str) -> bool:
    try:
        lines = read_lines(path, "a table", printable=False)
        return any(table.header and table.column(reference) for table in tables(lines, [reference]))
    except TableError:
        return False
