"""Extracts all tasks of a request, or some of them, in this process, and reports the progress to the console."""

from spoofcache.common.signals import postponed

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import torch

from spoofcache.common.cli import counted, progress, resolve_device, say
from spoofcache.features.coverage import look_for_audio, require_audio
from spoofcache.features.extract import Extracted
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.origin import Origin
from spoofcache.features.request import ExtractionRequest, Job
from spoofcache.features.shares import parse_tasks
from spoofcache.features.task_plan import TaskPlan, agree
from spoofcache.features.tasks import Advance, run_tasks
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.forms import polarity_warning


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How an extraction is shared between processes and machines.

    Attributes:
        tasks: the tasks of this command, in the spelling of `shares.parse_tasks`; None for all of them.
        part: part i of n of these tasks, (i, n), for one of several processes that use no locks.
        has_looked_for_audio: whether somebody has looked for the audio of all trials before.
        grace: seconds within which open shards may be finished after a signal.
    """

    tasks: str | None = None
    part: tuple[int, int] = (0, 1)
    has_looked_for_audio: bool = False
    grace: float = 0.0


class Share(NamedTuple):
    """The tasks of this process: the plan that they belong to, their numbers, and the folder of the plan."""

    plan: TaskPlan
    numbers: Sequence[int]
    folder: Path


class Prepared(NamedTuple):
    """A front-end with the jobs of a request for it, their plan, and the folder of the plan."""

    network: FrontEnd
    jobs: Sequence[Job]
    plan: TaskPlan
    folder: Path


@dataclass(frozen=True)
class Console:
    """Callbacks that report the progress of an extraction.

    Attributes:
        say: called with each message.
        begin: called with the tasks before the first one.
        watch: see `run_tasks`.
        finished: called with each partition whose tasks are finished.
    """

    say: Callable[[str], None]
    begin: Callable[[Share], None]
    watch: Callable[[Job], AbstractContextManager[Advance]]
    finished: Callable[[Job, Extracted], None]


def extract(options: PreprocessOptions, device_name: str, sharing: Sharing, console: Console) -> None:
    """Run all tasks of an extraction, or those of this process, with one front-end.

    Raises:
        ShareError: there are no such tasks.
        PlanMismatch: the plan beside the cache is that of another extraction.
        AudioError, EffectError, StoreError, RequestError: see `run_tasks` and `ExtractionRequest.from_options`.
    """
    selection = None if sharing.tasks is None else parse_tasks(sharing.tasks, os.environ)
    device = resolve_device(device_name)
    request = ExtractionRequest.from_options(options, device)
    if selection is None and not sharing.has_looked_for_audio:
        check_corpus(options, request)
    network, jobs, plan, folder = prepare(request, options, device, console.say)
    if selection is not None:
        if not (folder / plan.file_name).exists():  # otherwise, whoever wrote the plan has looked
            check_corpus(options, request)
        agree(folder, plan)
    index, count = sharing.part
    numbers = (range(plan.n_tasks) if selection is None else selection.of(plan.n_tasks))[index::count]
    console.begin(Share(plan, numbers, folder))
    with postponed(sharing.grace):
        for job, done in run_tasks(jobs, network, numbers, console.watch):
            keep_origin(job, options)
            console.finished(job, done)


def keep_origin(job: Job, options: PreprocessOptions) -> None:
    """Record in a cache of statistics how the frames are cached, for the commands that a layer study prints."""
    if options.pool:
        Origin.of(options, job.plan.partition.removesuffix(f"-first{options.limit}")).keep(job.folder)


def check_corpus(options: PreprocessOptions, request: ExtractionRequest) -> None:
    """Report what is doubtful about the protocols and unusable about the audio, before any model runs.

    Raises:
        AudioError: audio is unusable, and is not to be skipped.
    """
    warn_of_polarity(options)
    look_for_all_audio(request)


def warn_of_polarity(options: PreprocessOptions) -> None:
    """Report where 1 is taken for bona fide in a key of 0 and 1 of which the user does not say what 1 means."""
    warning = polarity_warning(options.protocol, options.columns) if options.protocol else ""
    if warning:
        say(f"Warning: {warning}")


def prepare(
    request: ExtractionRequest, options: PreprocessOptions, device: torch.device, tell: Callable[[str], None]
) -> Prepared:
    """Load the front-end that a request needs; `tell` is called with what is worth knowing about that."""
    network = make_frontend(options.frontend, options.frontend_options(device, request.n_rows, tell))
    jobs = list(request.jobs(network))
    return Prepared(network, jobs, TaskPlan.of_jobs(jobs, network.slug), request.out / request.corpus)


def look_for_all_audio(request: ExtractionRequest) -> None:
    """Report the unusable audio of all partitions at once; raise AudioError unless such utterances are skipped."""
    refused = []
    for partition, trials in request.trials.items():
        with progress(f"{partition}: looking for audio", len(trials)) as advance:
            coverage = look_for_audio(trials, advance=advance)
        try:
            require_audio(coverage, request.options.skip_bad_audio)
        except AudioError as error:
            refused.append(f"{partition}: {error}")
            continue
        if coverage.unusable:
            say(f"{partition}: {coverage}; skipped")
    if refused:
        raise AudioError("\n".join(refused))


def terminal(names_tasks: bool) -> Console:
    """The terminal of a command that extracts in this process; with `names_tasks`, the tasks are reported, too."""

    def begin(share: Share) -> None:
        if names_tasks:
            say(f"{len(share.numbers)} of {counted(share.plan.n_tasks, 'task')} here")

    def finished(job: Job, done: Extracted) -> None:
        report(job, done)
        click.echo(job.folder)

    return Console(say, begin, watched, finished)


def watched(job: Job) -> AbstractContextManager[Advance]:
    """Show the progress of a partition on the terminal."""
    return progress(job.title, job.n_utterances)


def report(job: Job, done: Extracted) -> None:
    """Report how the extraction of a partition went."""
    skipped = f", {counted(len(done.skipped), 'utterance')} skipped (see skipped.tsv)" if done.skipped else ""
    pace = f"; {done.pace}" if done.made else ""
    missing = f"; {counted(done.missing, 'shard')} of this partition still to be made elsewhere" if done.missing else ""
    say(f"{job.title}: {counted(done.made, 'shard')} written, {done.found} already complete{skipped}{pace}{missing}")
    if done.unusual:
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(done.unusual.items()))
        say(f"{job.title}: among the decoded audio files, {counts}; tools/prepare_corpus.py lists such files")
