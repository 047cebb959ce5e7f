"""The options of `preprocess.py` as one object, before any file is read or any option is checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from spoofcache.features.extract_options import ExtractOptions, default_batch_size, default_workers
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.protocols import Location, find_corpus


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions:
    """The options of the command line. The help text of each option describes it.

    Attributes:
        name: name of the corpus folder; None for the name of the corpus.
        n_samples: the option `--length`.
        effects: the option `--augment`, to which `n_views`, `seed` and `augmented` (`--augment-partition`) belong.
    """

    out: Path
    corpus: str
    partitions: tuple[str, ...]
    frontend: str
    root: Path | None
    protocol: Path | None
    audio_dir: Path | None
    bonafide_dir: Path | None
    columns: Mapping[str, str]
    layers: tuple[str, ...]
    pool: str | None
    weights: Path | None
    normalize: str | None
    precision: str | None
    check: bool
    dtype: str | None
    fit: str
    n_samples: int
    effects: tuple[str, ...]
    n_views: int | None
    seed: int
    augmented: tuple[str, ...]
    name: str | None
    on_bad_audio: str
    batch_size: int | None
    workers: int | None
    compression: str | None
    relabel: bool
    repair: bool
    trust_audio: bool
    limit: int | None
    dry_run: bool

    @property
    def location(self) -> Location:
        """The paths of the corpus."""
        return Location(self.root, self.protocol, self.audio_dir, self.bonafide_dir, self.columns)

    @property
    def folder_name(self) -> str:
        """Name of the corpus folder; for a plug-in `package.module:Name`, the part after the colon."""
        return self.name or self.corpus.rpartition(":")[2]

    def published(self) -> Mapping[str, int]:
        """The published number of trials of each partition, for a dry run without the files of the corpus."""
        known = find_corpus(self.corpus).published if self.dry_run and self.location == Location() else {}
        return {name: known[name] for name in self.partitions if name in known}

    def extract_options(self, device: torch.device) -> ExtractOptions:
        """The options of the extraction, without a view."""
        return ExtractOptions(
            fit=self.fit,
            n_samples=self.n_samples,
            dtype=self.dtype,
            batch_size=self.batch_size or default_batch_size(device),
            workers=self.workers or default_workers(device),
            skip_bad_audio=self.on_bad_audio == "skip",
            compression=self.compression,
            device=device,
            relabel=self.relabel,
            repair=self.repair,
            trust_audio=self.trust_audio,
        )

    def frontend_options(
        self, device: torch.device, n_rows: int | None, tell: Callable[[str], None]
    ) -> FrontEndOptions:
        """The options of the front-end for an extraction of `n_rows` utterances; None for an estimate."""
        return FrontEndOptions(
            layers=self.layers,
            weights=self.weights,
            normalize=self.normalize,
            precision=self.precision,
            device=device,
            check=self.check,
            compiled_batch_size=None if n_rows is None else self.batch_size or default_batch_size(device),
            n_rows=n_rows,
            tell=tell,
            pool=self.pool,
        )
