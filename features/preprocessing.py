"""The work of preprocess.py after its options are read: estimate, plan, extract, or report the status."""

import json
from contextlib import nullcontext
from pathlib import Path

import click
import torch

from spoofcache.common.cli import Sentence, counted, resolve_device, say
from spoofcache.common.files import without_locks
from spoofcache.features.estimate import Estimator
from spoofcache.features.extract import prepare_partition
from spoofcache.features.extracting import Sharing, check_corpus, extract, prepare, terminal
from spoofcache.features.frontends import make_for_estimate
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.ray_engine import extract_with_ray
from spoofcache.features.request import ExtractionRequest
from spoofcache.features.several_processes import extract_in_processes
from spoofcache.features.sharing_options import RayOptions, SharingOptions, StatusForm
from spoofcache.features.task_plan import TaskPlan, agree, find_plans, read_plan
from spoofcache.features.task_status import status_of

ALL_GPUS = "cuda:all"


def preprocess(options: PreprocessOptions, device: str, given: SharingOptions, cluster: RayOptions) -> None:
    """Do what the options of preprocess.py ask for: estimate, plan or extract.

    Raises:
        Sentence: the options contradict each other.
        InputError: see `extract`.
    """
    if given.tasks is not None and options.relabel:
        raise Sentence("--relabel replaces the list that workers share; expected --relabel --plan-only before --tasks")
    if cluster.engine == "ray" and not (options.dry_run or given.plan_only):
        extract_with_ray(options, device, given, cluster)
        return
    with without_locks() if given.no_locks else nullcontext():
        devices = process_devices(device, given.processes)
        if options.dry_run:
            print_estimate(options, devices[0])
        elif given.plan_only:
            write_plan(options, devices[0])
        elif len(devices) == 1:
            sharing = Sharing(tasks=given.tasks, grace=given.grace)
            extract(options, devices[0], sharing, terminal(names_tasks=given.tasks is not None))
        else:
            extract_in_processes(options, devices, given)


def show_status(out: Path, options: PreprocessOptions | None, device: str, form: StatusForm) -> None:
    """Print how far the plans below a folder are or, if there are none, the extraction with these options.

    Raises:
        Sentence: there is no plan.
        SystemExit: something is not complete.
    """
    folder = out if options is None else out / options.folder_name
    found = [status_of(read_plan(path), path.parent) for path in (find_plans(folder) if folder.is_dir() else [])]
    if not found and options is None:
        raise Sentence(
            f"{out}: no plan in or below this folder; expected one that --plan-only or --tasks wrote, or the options "
            "of the extraction beside --status"
        )
    if not found and options is not None:
        found = [status_of(plan_of(options, device), folder)]
    unfinished = [each for each in found if not each.is_complete]
    if form.as_array:
        if len(unfinished) > 1:
            names = ", ".join(str(each.path) for each in unfinished)
            raise Sentence(f"--array: several plans are not complete ({names}); expected --out with one of them")
        click.echo("".join(each.array for each in unfinished))
    elif form.as_json:
        click.echo(json.dumps({"complete": not unfinished, "plans": [each.to_fields() for each in found]}, indent=1))
    else:
        click.echo("\n".join(map(str, found)))
    if unfinished:
        raise SystemExit(Sentence.exit_code)


def process_devices(name: str, processes: int | None) -> list[str]:
    """The device of each process: every GPU of this machine for `cuda:all`, or so many times the CPU.

    Raises:
        Sentence: there is no GPU, or several processes are asked for on one.
    """
    if name == ALL_GPUS:
        if processes is not None:
            raise Sentence(f"--device {ALL_GPUS} starts one process on each GPU; expected no --processes")
        if not torch.cuda.is_available():
            raise Sentence(f"--device {ALL_GPUS}: torch {torch.__version__} can use no GPU here; expected --device cpu")
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if (processes or 1) > 1 and resolve_device(name).type != "cpu":
        raise Sentence(f"--processes {processes}: expected --device cpu, or {ALL_GPUS} for one process on each GPU")
    return ["cpu"] * processes if processes is not None and processes > 1 else [name]


def write_plan(options: PreprocessOptions, device_name: str) -> None:
    """Look for all audio, write the plan and the trial lists of an extraction, and print the number of tasks.

    Raises:
        PlanMismatch: another extraction, which is not complete, has a plan there.
        AudioError, StoreError, RequestError: see `extract`.
    """
    device = resolve_device(device_name)
    request = ExtractionRequest.from_options(options, device)
    check_corpus(options, request)
    _, jobs, plan, folder = prepare(request, options, device, say)
    path = agree(folder, plan)
    for job in jobs:
        prepare_partition(job.trials, job.plan, job.folder, job.options.relabel)
    say(f"{path}: {counted(plan.n_tasks, 'task')}, numbered from 0")
    click.echo(plan.n_tasks)


def plan_of(options: PreprocessOptions, device_name: str) -> TaskPlan:
    """The plan of an extraction, without looking for its audio or writing anything."""
    device = resolve_device(device_name)
    request = ExtractionRequest.from_options(options, device)
    return prepare(request, options, device, say).plan


def print_estimate(options: PreprocessOptions, device_name: str) -> None:
    """Print what an extraction takes, without writing anything."""
    device = resolve_device(device_name)
    request = ExtractionRequest.from_options(options, device)
    # A dry run compiles nothing, so on a GPU the extraction itself will be faster than the estimate.
    network = make_for_estimate(options.frontend, options.frontend_options(device, None, say))
    estimator, n_bytes = Estimator(network), 0
    for job in request.jobs(network):
        estimate = estimator.estimate(job)
        click.echo(estimate.sentence)
        if estimate.folder:
            click.echo(estimate.folder)
        n_bytes += job.plan.n_bytes
    if any(len(views) > 1 for views in request.views.values()):
        click.echo(f"{n_bytes / 1e9:.2f} GB in all")
