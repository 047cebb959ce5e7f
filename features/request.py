"""The partitions and views that an extraction must make, and the plan of each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from spoofcache.common.errors import InputError
from spoofcache.common.plugins import origin_of
from spoofcache.features.augment.view import View
from spoofcache.features.extract import ExtractOptions, make_identity
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.plan import Identity, Plan
from spoofcache.protocols import find_corpus, load_trials
from spoofcache.protocols.trial import Trial

COMPILED_FROM = 20_000
"""Number of rows from which a network is compiled, if that makes it faster; compiling takes about a minute."""


class RequestError(InputError):
    """An extraction cannot be planned as requested; the message says what was expected."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which augmented views are cached beside the clean one.

    Attributes:
        effects: as `features.augment.parse_effect` reads them.
        n_views: views of each effect; None for one.
        seed: of all views.
        partitions: those that are augmented; empty for `train` alone.
    """

    effects: Sequence[str] = ()
    n_views: int | None = None
    seed: int = 0
    partitions: Sequence[str] = ()

    def views_of(self, partitions: Sequence[str]) -> Mapping[str, Sequence[View | None]]:
        """The views of each partition: None, the clean one, first.

        Raises:
            RequestError: settings without an effect, or a partition that is not extracted.
            EffectError: an effect that cannot be had.
        """
        if (self.n_views or self.partitions) and not self.effects:
            raise RequestError("no --augment; expected one with --views and --augment-partition")
        augmented = self.partitions or ("train",)
        absent = [name for name in augmented if name not in partitions]
        if self.effects and absent:
            raise RequestError(
                f"--augment acts on {absent[0]}, which no --partition names; expected --augment-partition with one of "
                f"{', '.join(partitions)}, if its views are wanted"
            )
        numbers = range(1, (self.n_views or 1) + 1)
        views = [View(effect, self.seed, number) for effect in self.effects for number in numbers]
        for view in views:
            view.settings()  # so that an effect that cannot be had is refused before anything is done
        return {name: [None, *(views if name in augmented else ())] for name in partitions}


class Job(NamedTuple):
    """One cached partition to be made: its trials, its plan, its folder, and how it is extracted."""

    trials: Sequence[Trial]
    plan: Plan
    folder: Path
    options: ExtractOptions

    @property
    def title(self) -> str:
        """The partition, and the view where there is one: `train, rawboost-5 view 2`."""
        identity = self.plan.identity
        view = f", {identity.effect} view {identity.settings['augment']['view']}" if identity.effect else ""
        return self.plan.partition + view


@dataclass(frozen=True, kw_only=True)
class ExtractionRequest:
    """Partitions of a corpus, each in one view or several, that are to be cached by one front-end.

    Attributes:
        corpus: name of the corpus folder.
        trials: partition → its trials.
        published: partition → its published number of trials, for those whose trials are not known. Sizes can be told
            of such a partition, and nothing else.
        views: partition → its views, None for the clean one.
        out: the cache; a partition lies in `<out>/<corpus>/<front-end>/<partition>`.
        options: how to extract; the view of each job replaces theirs.
        read_by: the origin of a corpus reader of the user's own, for the manifest.
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
        """What the command line asks for. Protocols are read here, and audio files are looked up by their names.

        Raises:
            RequestError: options that do not go together.
            EffectError: an effect that cannot be had.
            ProtocolError: as of `protocols.load_trials`.
        """
        for name in (options.folder_name, *options.partitions):
            require_folder_name(name)
        if not find_corpus(options.corpus).partitions and len(set(options.partitions)) > 1:
            raise RequestError(
                f"{options.corpus} has no partitions of its own; expected one --partition, a name for the whole"
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
    def compiled_batch_size(self) -> int | None:
        """The batch size to compile a network for; None where there are too few rows for it to pay off."""
        n_rows = sum(len(trials) * len(self.views[partition]) for partition, trials in self.trials.items())
        return self.options.batch_size if n_rows >= COMPILED_FROM else None

    def jobs(self, frontend: FrontEnd) -> Iterator[Job]:
        """The cached partitions, in the order of the partitions and, within one, of its views."""
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
    """Raise RequestError unless the name of a corpus or partition can be that of a folder."""
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise RequestError(f"{name!r} would name a folder; expected letters, digits, '.', '_' and '-'")
