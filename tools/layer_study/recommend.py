"""The commands that cache what a layer study recommends, and an estimate of what they cost."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spoofcache.common.cli import Sentence
from spoofcache.common.errors import InputError
from spoofcache.evaluation.layer_study.pooled_sets import PooledSet
from spoofcache.evaluation.layer_study.recommendation import Cost, Recommendation
from spoofcache.evaluation.layer_study.study import Combination
from spoofcache.features.estimate import Estimator
from spoofcache.features.extract_options import ExtractOptions, default_batch_size, default_workers
from spoofcache.features.frontends import make_for_estimate
from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions
from spoofcache.features.origin import Origin
from spoofcache.features.plan import weights_folder
from spoofcache.features.request import ExtractionRequest
from spoofcache.features.waveform import N_SAMPLES
from spoofcache.tools.layer_study.sources import options_of, parse_preprocess

UNKNOWN_ORIGIN = (
    "How some of the caches were made is not recorded beside them: replace the words in capital letters. The estimate "
    "counts their utterances, and not the time to decode audio files."
)
MOVED = "The corpus of some caches is no longer where it was: the estimate counts their utterances only."


@dataclass(frozen=True)
class _Command:
    """Sets that one command of preprocess.py caches: those with the same options but the partition."""

    origin: Origin
    is_known: bool
    sets: list[PooledSet]

    @property
    def out(self) -> Path:
        """The cache that the statistics are in: `<out>/<corpus>/<front-end>/<partition>`."""
        return self.sets[0].data.folder.resolve().parents[2]

    def words(self, layers: Sequence[str]) -> list[str]:
        """The options of the command, for frames of these layers."""
        partitions = [word for name in self._partitions for word in ("--partition", name)]
        named = [word for layer in layers for word in ("--layer", layer)]
        return [*self.origin.shared, *partitions, *named, "--out", str(self.out)]

    def line(self, layers: Sequence[str]) -> str:
        """The command line."""
        return "python preprocess.py " + shlex.join(self.words(layers))

    @property
    def _partitions(self) -> list[str]:
        named = [Origin.read(one.data.folder) for one in self.sets]
        of_sets = zip(named, self.sets, strict=True)
        return list(dict.fromkeys(origin.partition if origin else one.data.plan.partition for origin, one in of_sets))


def recommend(
    combinations: Sequence[Combination], sets: Sequence[PooledSet], device: torch.device
) -> Iterator[Recommendation]:
    """Yield the commands that cache the frames of each combination for all sets, with their cost.

    Args:
        combinations: the layers.
        sets: caches of statistics. Beside each of them is recorded how it was made, unless it was copied without that.
        device: where the front-end is timed.
    """
    commands = list(_commands(sets))
    for combination in combinations:
        layers = combination.layers if _front_end(sets[0]).get("layers") else ()
        lines = tuple(command.line(layers) for command in commands)
        try:
            cost = _Estimates(layers, sets[0], device).cost(commands)
        except InputError as error:  # the study is worth more than its estimate
            cost = Cost(None, None, device.type, None, (f"The cost is unknown: {error}.",))
        yield Recommendation(combination, lines, cost)


def _commands(sets: Sequence[PooledSet]) -> Iterator[_Command]:
    grouped: dict[tuple[str, ...], _Command] = {}
    for one in sets:
        known = Origin.read(one.data.folder)
        origin = known or _guessed(one)
        grouped.setdefault(origin.shared, _Command(origin, known is not None, [])).sets.append(one)
    yield from grouped.values()


def _guessed(one: PooledSet) -> Origin:
    """The options as far as the cache itself states them; words in capitals stand for the others."""
    plan, settings = one.data.plan, one.data.plan.identity.settings
    weights = weights_folder(one.data.folder)
    options = [
        *("--corpus", plan.corpus, "--root", "CORPUS_FOLDER"),
        *("--frontend", str(_front_end(one).get("plugin") or _front_end(one)["name"])),
        *(("--weights", str(weights)) if weights else ()),
        *(("--fit", settings["fit"]) if settings["fit"] != "repeat" else ()),
        *(("--length", str(settings["n_samples"])) if settings["n_samples"] != N_SAMPLES else ()),
    ]
    return Origin(tuple(options), plan.partition)


def _front_end(one: PooledSet) -> dict[str, Any]:
    return dict(one.data.plan.identity.settings["front_end"])


def _precision(one: PooledSet) -> str | None:
    """The computing type, if the user chose it; the default depends on the device."""
    origin = Origin.read(one.data.folder)
    return _front_end(one).get("precision") if origin and "--precision" in origin.shared else None


class _Estimates:
    """The cost of extractions with some layers; the front-end is made and timed once.

    Raises:
        FrontEndError: the front-end cannot be loaded.
    """

    def __init__(self, layers: tuple[str, ...], one: PooledSet, device: torch.device) -> None:
        self._layers, self._device = layers, device
        front_end, settings = _front_end(one), one.data.plan.identity.settings
        self._how = ExtractOptions(
            fit=settings["fit"],
            n_samples=settings["n_samples"],
            batch_size=default_batch_size(device),
            workers=default_workers(device),
            device=device,
        )
        options = FrontEndOptions(
            layers=self._layers,
            weights=weights_folder(one.data.folder),
            normalize=front_end.get("normalize"),
            precision=_precision(one),
            device=device,
        )
        self._network: FrontEnd = make_for_estimate(str(front_end.get("plugin") or front_end["name"]), options)
        self._estimator = Estimator(self._network)

    def cost(self, commands: Sequence[_Command]) -> Cost:
        """The cost of all commands together."""
        requests = [self._request(command) for command in commands]
        estimates = [self._estimator.estimate(job) for request, _ in requests for job in request.jobs(self._network)]
        seconds = [estimate.seconds for estimate in estimates if estimate.seconds is not None]
        return Cost(
            sum(estimate.n_bytes for estimate in estimates),
            sum(seconds) if len(seconds) == len(estimates) else None,
            self._device.type,
            self._network.blocks,
            tuple(dict.fromkeys(remark for _, remark in requests if remark)),
        )

    def _request(self, command: _Command) -> tuple[ExtractionRequest, str]:
        """The request of a command, and what its estimate lacks."""
        if not command.is_known:
            return self._by_count(command), UNKNOWN_ORIGIN
        try:
            given = parse_preprocess(command.words(self._layers), "preprocess.py")
            return ExtractionRequest.from_options(options_of(given), self._device), ""
        except (InputError, Sentence, OSError):
            return self._by_count(command), MOVED

    def _by_count(self, command: _Command) -> ExtractionRequest:
        """A request for as many utterances as the caches have."""
        plans = [one.data.plan for one in command.sets]
        counts = {plan.partition: plan.n_trials for plan in plans}
        return ExtractionRequest(
            corpus=plans[0].corpus,
            trials={},
            views={name: [None] for name in counts},
            out=command.out,
            options=self._how,
            published=counts,
        )
