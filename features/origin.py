"""How a cache of statistics over time was made: the options with which the frames of its utterances are cached.

They are a hint, like the folder of the weights, and not part of the identity: paths differ between machines.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spoofcache.common.files import atomic_path
from spoofcache.features.waveform import N_SAMPLES

if TYPE_CHECKING:
    from spoofcache.features.options import PreprocessOptions

FILE = "preprocess_options.json"


@dataclass(frozen=True)
class Origin:
    """Options of preprocess.py.

    Attributes:
        shared: the options without `--partition`, `--layer`, `--pool`, `--dtype` and `--out`.
        partition: the partition.
    """

    shared: tuple[str, ...]
    partition: str

    @classmethod
    def of(cls, options: "PreprocessOptions", partition: str) -> "Origin":
        """The origin of a partition that is cached with these options. Paths become absolute."""
        return cls(tuple(_arguments(options)), partition)

    def keep(self, folder: Path) -> None:
        """Write the options into a cached partition, unless they are there or it is on a read-only disk."""
        if not (folder / FILE).exists():
            with suppress(OSError), atomic_path(folder / FILE) as path:
                path.write_text(
                    json.dumps({"options": self.shared, "partition": self.partition}) + "\n", encoding="utf-8"
                )

    @classmethod
    def read(cls, folder: Path) -> "Origin | None":
        """The origin of a cached partition; None where it is not known."""
        try:
            record = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(tuple(map(str, record["options"])), str(record["partition"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _arguments(options: "PreprocessOptions") -> Iterator[str]:
    corpus = {
        "--corpus": options.corpus,
        "--root": options.root and options.root.resolve(),
        "--protocol": options.protocol and options.protocol.resolve(),
        "--audio-dir": options.audio_dir and options.audio_dir.resolve(),
        "--bonafide-dir": options.bonafide_dir and options.bonafide_dir.resolve(),
        "--name": options.name,
        "--on-missing": "skip" if options.on_bad_audio == "skip" else None,
    }
    features = {
        "--frontend": options.frontend,
        "--weights": options.weights and options.weights.resolve(),
        "--normalize": options.normalize,
        "--precision": options.precision,
        "--fit": options.fit if options.fit != "repeat" else None,
        "--length": options.n_samples if options.n_samples != N_SAMPLES else None,
    }
    for name, value in {**corpus, **features}.items():
        if value is not None:
            yield from (name, str(value))
    for column, header in options.columns.items():
        yield from ("--column", f"{column}={header}")
