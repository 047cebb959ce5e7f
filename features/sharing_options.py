"""The options of preprocess.py by which an extraction is shared between processes and machines, and looked after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class SharingOptions:
    """The options of sharing. The help text of each option describes it."""

    plan_only: bool
    tasks: str | None
    no_locks: bool
    processes: int | None
    grace: float


@dataclass(frozen=True)
class RayOptions:
    """The engine that extracts, and the options of the engine `ray`. The help text of each option describes it."""

    engine: str
    ray_address: str | None
    gpus_per_worker: float | None
    cpus_per_worker: int | None
    workers_max: int | None


@dataclass(frozen=True)
class StatusForm:
    """Whether the status is asked for, and in which form: as text, as JSON or as an array expression."""

    status: bool
    as_json: bool
    as_array: bool


OPTIONS = (
    click.option(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:k]|cuda:all",
        help="Where the front-end runs; on cuda:all, one process runs on each GPU of this machine.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(1),
        metavar="N",
        help="Extract in N processes on the CPU, which divide the threads; by default, in one.",
    ),
    click.option(
        "--plan-only",
        is_flag=True,
        help="Look for all audio, write the plan of the extraction beside the cache, print the number of its tasks "
        "(shards), and extract nothing.",
    ),
    click.option(
        "--tasks",
        metavar="I/N|LIST|slurm",
        help="Extract only share I of N (counted from 0) of the tasks, or the tasks with these numbers, such as "
        "0,3-5. slurm takes the share from the variables of a job array or of srun; in an array with holes, the "
        "number of the array task is that of the task. Workers whose options differ from the plan are refused.",
    ),
    click.option(
        "--no-locks",
        is_flag=True,
        help="Use no file locks, for file systems on which they hang or do not exist. Give each of several commands "
        "tasks of its own with --tasks; otherwise all of them do the same work.",
    ),
    click.option(
        "--grace",
        type=click.FloatRange(0),
        default=0.0,
        metavar="SECONDS",
        help="After SIGTERM, SIGUSR1, SIGHUP or Ctrl-C, finish open shards if that takes no longer than this; "
        "otherwise, drop them.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Extract with processes of this machine, or with workers on the machines of a Ray cluster, which needs "
        "`pip install -r requirements-cluster.txt`.",
    ),
    click.option(
        "--ray-address",
        metavar="auto|HOST:PORT|ray://HOST:PORT",
        help="Connect to this Ray cluster: auto is the one that this machine belongs to. By default, RAY_ADDRESS if it "
        "is set; otherwise, Ray is started on this machine for this command.",
    ),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(0, min_open=True),
        metavar="N",
        help="Give each Ray worker N GPUs; less than 1 lets workers share one. By default, 1 if the cluster has GPUs "
        "and neither --device cpu nor --cpus-per-worker is given.",
    ),
    click.option(
        "--cpus-per-worker",
        type=click.IntRange(1),
        metavar="N",
        help="Give each Ray worker N CPUs; by default, 1 for workers without a GPU.",
    ),
    click.option(
        "--workers-max",
        type=click.IntRange(1),
        metavar="N",
        help="Ask the Ray cluster for N workers, which may make it grow; by default, as many as the machines of the "
        "cluster have room for, those that join later included.",
    ),
    click.option(
        "--status",
        is_flag=True,
        help="Print for each plan below --out which tasks are finished, missing, damaged, or being made by which "
        "machine, and extract nothing. The exit status is 0 if everything is complete, and 2 otherwise. Without a "
        "plan, the options of the extraction are needed, too.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the --status as JSON."),
    click.option(
        "--array",
        "as_array",
        is_flag=True,
        help="Print of the --status only the missing tasks, as `sbatch --array` and --tasks read them.",
    ),
)


def sharing_options(function: Function) -> Function:
    """Decorate a command with the options of SharingOptions and StatusForm, and with --device."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
