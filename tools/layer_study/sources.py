"""The sets of a layer study as the user names them: cached partitions, or options of preprocess.py."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import torch
from click.core import ParameterSource

from spoofcache.common.cli import Sentence
from spoofcache.evaluation.layer_study.subset import stratified
from spoofcache.features.frontends.hub import HUB_NAMES
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.plan import MANIFEST, StoreError, read_manifest
from spoofcache.features.request import ExtractionRequest

if TYPE_CHECKING:
    from spoofcache.features.frontends.base import FrontEnd

OF_A_CORPUS = {
    *("corpus", "root", "protocol", "audio_dir", "bonafide_dir", "columns", "partitions", "name", "on_bad_audio"),
    *("fit", "n_samples", "normalize", "precision", "check", "dtype", "compression", "trust_audio"),
    *("batch_size", "workers"),
}
"""Options of preprocess.py, by their names in Python, that may describe a corpus; the command sets others itself."""


class Source(NamedTuple):
    """A set of the study: the option that names it, its name (empty for the default), and the text of the option."""

    option: str
    name: str
    text: str

    @classmethod
    def parse(cls, option: str, text: str) -> "Source":
        """Read `TEXT` or `NAME=TEXT`, where TEXT is a folder, a pattern of folders or options of preprocess.py."""
        name, equals, rest = text.partition("=")
        is_named = bool(equals) and not text.lstrip().startswith("--") and not Path(text).exists()
        return cls(option, name, rest) if is_named else cls(option, "", text)

    @property
    def is_corpus(self) -> bool:
        """Whether the text holds options of preprocess.py."""
        return self.text.lstrip().startswith("--")

    def cache(self) -> Path:
        """The cached partition that the text names.

        Raises:
            Sentence: no cache of statistics, or more than one, has that name.
        """
        if Path(self.text).is_dir():
            return Path(self.text)
        found = [Path(path) for path in sorted(glob(self.text)) if _is_pooled(Path(path))]
        if len(found) != 1:
            raise Sentence(
                f"{self.option} {self.text}: {len(found)} caches of statistics over time; expected the folder of one, "
                'or the options of preprocess.py for a corpus in quotation marks, such as "--corpus asvspoof19_la '
                '--root LA/ --partition train"'
            )
        return found[0]


def _is_pooled(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).exists() and read_manifest(folder).identity.pool is not None
    except StoreError:
        return False


@dataclass
class Extraction:
    """Extracts the statistics of corpora with one front-end, which is loaded once.

    Attributes:
        shared: options of preprocess.py for all corpora: the front-end, the layers, the cache.
        subset: number of utterances of each corpus; 0 for all.
        seed: random seed of the subsets.
        device: where the front-end runs.
    """

    shared: Sequence[str]
    subset: int
    seed: int
    device: torch.device
    _networks: "dict[tuple[str | None, str | None], FrontEnd]" = field(default_factory=dict)

    def cached(self, source: Source) -> Path:
        """The cached statistics of a corpus. What is cached already is not computed again.

        Raises:
            Sentence, click.UsageError: the options do not name one partition of a corpus.
            InputError: as for preprocess.py.
        """
        from spoofcache.features.extract import extract_partition
        from spoofcache.features.extracting import check_corpus, report, watched
        from spoofcache.features.origin import Origin

        options = self._options(source)
        request = ExtractionRequest.from_options(options, self.device)
        (partition,) = request.trials
        request = self._reduced(request)
        check_corpus(options, request)
        network = self._made(options, request)
        (job,) = request.jobs(network)
        with watched(job) as advance:
            done = extract_partition(job.trials, job.plan, network, job.folder, job.options, advance)
        report(job, done)
        Origin.of(options, partition).keep(job.folder)
        return job.folder

    def _options(self, source: Source) -> PreprocessOptions:
        where = f"{source.option} {source.text}"
        for name, option in given_options([*words(source.text), "--out", "."], where).items():
            if name not in OF_A_CORPUS | {"out"}:
                raise Sentence(
                    f"{where}: {option} has no place there; expected options that name one partition of a corpus"
                )
        given = parse_preprocess([*words(source.text), *self.shared], where)
        if len(given["partitions"]) != 1 or not given["corpus"]:
            raise Sentence(f"{where}: expected --corpus and one --partition")
        return options_of(given)

    def _reduced(self, request: ExtractionRequest) -> ExtractionRequest:
        """The request for the subset, whose partition is named after it."""
        ((partition, trials),) = request.trials.items()
        rows = stratified(trials, self.subset, self.seed)
        if len(rows) == len(trials):
            return request
        name = f"{partition}-subset{self.subset}-seed{self.seed}"
        return replace(request, trials={name: [trials[row] for row in rows.tolist()]}, views={name: [None]})

    def _made(self, options: PreprocessOptions, request: ExtractionRequest) -> "FrontEnd":
        from spoofcache.features.frontends import make_frontend

        key = (options.normalize, options.precision)
        if key not in self._networks:
            of_network = options.frontend_options(self.device, request.n_rows, _say)
            self._networks[key] = make_frontend(options.frontend, of_network)
        return self._networks[key]


def words(text: str) -> list[str]:
    """The words of a text as a shell reads them; raises Sentence where a quotation mark is not closed."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Sentence(f"{text}: {error}; expected options as on a command line") from error


def parse_preprocess(arguments: Sequence[str], where: str) -> dict[str, Any]:
    """The options of a command line of preprocess.py by their names in Python.

    Raises:
        Sentence: there is no such option or value; the message begins with `where`.
    """
    return dict(_context(arguments, where).params)


def given_options(arguments: Sequence[str], where: str) -> dict[str, str]:
    """The options of preprocess.py that a command line gives: name in Python → the option as it is written.

    Raises:
        Sentence: as for `parse_preprocess`.
    """
    context = _context(arguments, where)
    return {
        str(option.name): option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }


def _context(arguments: Sequence[str], where: str) -> click.Context:
    from spoofcache.preprocess import main

    try:
        return main.make_context("preprocess.py", list(arguments))
    except click.UsageError as error:
        raise Sentence(f"{where}: {error.format_message()}") from error


def all_layers(frontend: str) -> list[str]:
    """The options that name all layers of a front-end: none for one without layers, or for a plug-in, which decides."""
    return ["--layer", "all"] if frontend in HUB_NAMES or "/" in frontend else []


def options_of(given: Mapping[str, Any]) -> PreprocessOptions:
    """The options of preprocess.py, as `parse_preprocess` returns them, as one object."""
    own = {field.name for field in fields(PreprocessOptions)}
    return PreprocessOptions(**{name: value for name, value in given.items() if name in own})


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)
