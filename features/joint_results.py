"""What several processes or machines have done for each partition, put together and reported as one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from spoofcache.common.cli import counted, say
from spoofcache.features.extract import Extracted
from spoofcache.features.request import Job


def as_message(job: Job, done: Extracted) -> Mapping[str, Any]:
    """What one process did for a partition, in a form that JSON can represent."""
    return {
        "title": job.title,
        "folder": str(job.folder),
        "made": done.made,
        "utterances": done.pace.utterances,
        "skipped": len(done.skipped),
        "missing": done.missing,
        "unusual": dict(done.unusual),
    }


@dataclass
class JointResults:
    """The work that several processes have done, by the title of each partition.

    Attributes:
        wanted: number of shards that all of them were asked for; the others count what `as_message` describes.
    """

    folders: dict[str, str] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    wanted: Counter[str] = field(default_factory=Counter)
    utterances: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    missing: dict[str, int] = field(default_factory=dict)
    unusual: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, done: Mapping[str, Any]) -> None:
        """Add what one process did for one partition."""
        title = done["title"]
        self.folders[title] = done["folder"]
        self.made[title] += done["made"]
        self.utterances[title] += done["utterances"]
        self.skipped[title] = max(self.skipped[title], done["skipped"])
        self.missing[title] = min(self.missing.get(title, done["missing"]), done["missing"])
        self.unusual.setdefault(title, Counter()).update(done["unusual"])

    def report(self, by: str, seconds: float) -> None:
        """Print for each partition how it went, and its folder; `by` names those who made them: `3 processes`."""
        for title, folder in self.folders.items():
            made = self.made[title]
            skipped = f", {counted(self.skipped[title], 'utterance')} skipped (see skipped.tsv)"
            missing = f"; {counted(self.missing[title], 'shard')} of this partition still to be made elsewhere"
            say(
                f"{title}: {counted(made, 'shard')} written by {by}, {self.wanted[title] - made} "
                f"already complete{skipped if self.skipped[title] else ''}{missing if self.missing[title] else ''}"
            )
            if self.unusual[title]:
                counts = ", ".join(f"{number} {kind}" for kind, number in sorted(self.unusual[title].items()))
                say(f"{title}: among the decoded audio files, {counts}; tools/prepare_corpus.py lists such files")
            click.echo(folder)
        if utterances := sum(self.utterances.values()):
            say(f"{utterances / seconds:.1f} utterances per second, including the start of the processes")
