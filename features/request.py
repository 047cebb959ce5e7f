"""The partitions and views that a command asks for, and the plan of each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from spoofcache.common.errors import InputError
from spoofcache.common.plugins import origin_of
from spoofcache.features.augment.view import View
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.plan import Identity, Plan
from spoofcache.protocols import find_corpus, load_trials
from spoofcache.protocols.trial import Trial


class RequestError(InputError):
    """An extraction cannot be planned as requested; the message says what was expected."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The augmented views to cache beside the clean one.

    Attributes:
        effects: effects in the spelling that `features.augment.parse_effect` reads.
        n_views: number of views of each effect; None for one.
        seed: random seed of all views.
        partitions: names of the partitions to augment; if empty, only `train` is augmented.
    """

    effects: Sequence[str] = ()
    n_views: int | None = None
    seed: int = 0
    partitions: Sequence[str] = ()

    def views_of(self, partitions: Sequence[str]) -> Mapping[str, Sequence[View | None]]:
        """Return the views of each partition, beginning with None for the clean one.

        Raises:
            RequestError: there are settings without an effect, or a partition to augment is not extracted.
            EffectError: an effect is not available.
        """
        if (self.n_views or self.partitions) and not self.effects:
            raise RequestError("--views and --augment-partition have no effect without --augment; expected --augment")
        augmented = self.partitions or ("train",)
        absent = [name for name in augmented if name not in partitions]
        if self.effects and absent:
            raise RequestError(
                f"--augment applies to {absent[0]}, which no --partition names; expected --augment-partition with one "
                f"of {', '.join(partitions)}"
            )
        numbers = range(1, (self.n_views or 1) + 1)
        views = [View(effect, self.seed, number) for effect in self.effects for number in numbers]
        for view in views:
            view.settings()  # raises EffectError for an unavailable effect before any work begins
        return {name: [None, *(views if name in augmented else ())] for name in partitions}


class Job(NamedTuple):
    """One partition to be cached, in one view: its trials, its plan, its folder and the options of its extraction."""

    trials: Sequence[Trial]
    plan: Plan
    folder: Path
    options: ExtractOptions

    @property
    def title(self) -> str:
        """The name of the partition and, if it is augmented, of the view: `train, rawboost-5 view 2`."""
        return self.plan.title

    @property
    def n_utterances(self) -> int:
        """The number of utterances in the shards that are to be made."""
        groups = [self.plan.group(shard) for shard in self.options.shards or ()]
        return len(self.trials) if self.options.shards is None else sum(each.stop - each.start for each in groups)


@dataclass(frozen=True, kw_only=True)
class ExtractionRequest:
    """Partitions of a corpus, each in one or several views, to be cached with one front-end.

    Attributes:
        corpus: name of the corpus folder.
        trials: the trials of each partition, by its name.
        published: the published number of trials of each partition whose trials are unknown, by its name. Such a
            partition can be estimated, but not extracted.
        views: the views of each partition, by its name; None stands for the clean one.
        out: folder of the cache. A partition is written to `<out>/<corpus>/<front-end>/<partition>`.
        options: options of the extraction; their view is replaced by that of each job.
        read_by: origin of a user's plug-in that read the corpus, for the manifest.
    """

    corpus: str
    trials: Mapping[str, Sequence[Trial]]
    views: Mapping[str, Sequence[View | None]]
    out: Path
    options: ExtractOptions
    published: Mapping[str, int] = field(default_factory=dict)
    read_by: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, options: PreprocessOptions, device: torch.device) -> "ExtractionRequest":
        """Build the request for a command line. This reads the protocols and looks up the audio files by name.

        Raises:
            RequestError: the options contradict each other.
            EffectError: an effect is not available.
            ProtocolError: a protocol cannot be read; see `protocols.load_trials`.
        """
        for name in (options.folder_name, *options.partitions):
            require_folder_name(name)
        if not find_corpus(options.corpus).partitions and len(set(options.partitions)) > 1:
            raise RequestError(
                f"{options.corpus} is not divided into partitions; expected one --partition, which names the whole"
            )
        views = Augmentation(
            effects=options.effects, n_views=options.n_views, seed=options.seed, partitions=options.augmented
        ).views_of(options.partitions)
        published, limit = options.published(), options.limit
        unknown = [name for name in options.partitions if name not in published]
        trials = {name: load_trials(options.corpus, options.location, name)[:limit] for name in unknown}
        ending = f"-first{limit}" if limit else ""
        return cls(
            corpus=options.folder_name,
            trials={name + ending: own for name, own in trials.items()},
            views={name + ending: own for name, own in views.items()},
            out=options.out,
            options=options.extract_options(device),
            published={name + ending: min(n, limit or n) for name, n in published.items()},
            read_by=origin_of(options.corpus),
        )

    @property
    def n_rows(self) -> int:
        """The number of rows of all partitions and views."""
        return sum(len(trials) * len(self.views[partition]) for partition, trials in self.trials.items())

    def jobs(self, frontend: FrontEnd) -> Iterator[Job]:
        """Yield a job for each view of each partition, in order."""
        row_shape = frontend.row_shape(self.options.n_samples)
        for partition, views in self.views.items():
            for view in views:
                options = replace(self.options, view=view)
                plan = self._plan(partition, make_identity(frontend, options), row_shape)
                folder = self.out / self.corpus / plan.identity.folder_name(frontend.slug) / partition
                yield Job(self.trials.get(partition, ()), plan, folder, options)

    def _plan(self, partition: str, identity: Identity, row_shape: tuple[int, ...]) -> Plan:
        if partition in self.published:
            return Plan.of_count(self.corpus, partition, identity, self.published[partition], row_shape)
        plan = Plan.make(self.corpus, partition, identity, self.trials[partition], row_shape)
        return replace(plan, read_by=self.read_by)


def require_folder_name(name: str) -> None:
    """Raise RequestError unless the name of a corpus or partition is valid as the name of a folder."""
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise RequestError(f"{name!r} cannot name a folder; expected only letters, digits, '.', '_' and '-'")
