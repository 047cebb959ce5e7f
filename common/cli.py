"""What the commands share: errors as one sentence, exit statuses, progress, and the device.

The exit status is 0 after success and 2 after wrong usage or input. If a signal ended the command, it is 128 plus the
number of the signal (130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 138 for SIGUSR1) or the --requeue-status. Results
are written to standard output; progress and errors are written to standard error.
"""

from spoofcache.common.signals import REQUEUE_STATUS, exit_status, raised_as_interrupts

import functools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

import spoofcache
from spoofcache.common import hub, machine
from spoofcache.common.errors import InputError
from spoofcache.common.machine import DeviceError, find_device
from spoofcache.common.plugins import EXPECTED, PluginChanged, is_plugin

if TYPE_CHECKING:
    import torch

machine.sleep_soon()  # every command imports this file, and none has imported torch before

Function = TypeVar("Function", bound=Callable[..., Any])
SECONDS_BETWEEN_LINES = 30.0
GPU_FULL = (
    "the GPU is out of memory; in a training, a smaller train.micro_batch or train.features=pinned may help, elsewhere "
    "a smaller --batch-size, and otherwise --device cpu"
)
MEMORY_FULL = "out of memory; a smaller batch size (train.batch_size or train.micro_batch) may help"


class Sentence(click.ClickException):
    """An error that the user can correct. It is printed as one sentence, and the exit status is 2."""

    exit_code = 2


def sentences(after_interrupt: str = "") -> Callable[[Function], Function]:
    """Decorate a command so that InputError, OSError and every ending signal end it with a sentence, not a trace.

    `after_interrupt` is printed after an interrupt, and tells the user how to continue.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def command(*args: Any, **kwargs: Any) -> Any:
            try:
                with raised_as_interrupts(), _warnings_as_sentences():
                    return function(*args, **kwargs)
            except BrokenPipeError:  # for example by `| head`; click ends the command quietly
                raise
            except Exception as error:
                sentence = explanation(error)
                if sentence is None:
                    raise
                raise Sentence(sentence) from error
            except KeyboardInterrupt as interrupt:
                click.echo(f"Interrupted; no incomplete file was left behind. {after_interrupt}".strip(), err=True)
                context = click.get_current_context()
                context.exit(exit_status(interrupt, context.meta.get(REQUEUE_STATUS)))

        return command  # type: ignore[return-value]

    return decorate


def explanation(error: Exception) -> str | None:
    """The sentence that is printed for an error that the user can correct; None for any other error."""
    if isinstance(error, (InputError, OSError)):
        return str(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):  # torch's, which is no MemoryError
        return MEMORY_FULL
    return GPU_FULL if type(error).__name__ == "OutOfMemoryError" else None  # by name, to avoid importing torch


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Print our own warnings as a sentence on standard error; warnings of libraries are printed as usual."""
    with warnings.catch_warnings():
        otherwise = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, PluginChanged):
                click.echo(f"Warning: {message}", err=True)
            else:
                otherwise(message, category, *place, **more)

        warnings.showwarning = show
        yield


def output_is_elsewhere() -> bool:
    """Whether standard output goes to a file or a program while standard error goes somewhere else.

    If so, a warning on standard output alone could go unseen. With `2>&1` or on a terminal, it would be seen twice if
    it were printed on both.
    """
    if sys.stdout.isatty():
        return False
    try:
        return not os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # a stream without a file, for example in a notebook
        return True


def say(sentence: str) -> None:
    """Print a sentence to standard error."""
    click.echo(sentence, err=True)


def counted(number: int, noun: str) -> str:
    """The number with its noun in the singular or, with an `s`, in the plural: `1 shard`, `0 shards`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Raise Sentence if an output is also an input, is named twice, or exists and must not be replaced."""
    read, seen = {path.resolve() for path in inputs}, set()
    for path in outputs:
        if path.resolve() in read:
            raise Sentence(f"{path}: is an input; choose another name for the results")
        if path.resolve() in seen:
            raise Sentence(f"{path}: named twice; choose a name for each output")
        if path.exists() and not overwrite:
            raise Sentence(f"{path}: exists already; choose another name, or --overwrite to replace it")
        seen.add(path.resolve())


def resolve_device(name: str) -> "torch.device":
    """Return the torch device for `auto`, `cpu`, `cuda` or `cuda:k`; raise Sentence if it does not exist."""
    try:
        return find_device(name, "--device")
    except DeviceError as error:
        raise Sentence(str(error)) from None


def named_columns(context: click.Context, option: click.Parameter, pairs: Sequence[str]) -> Mapping[str, str]:
    """Parse the repeatable option `--column` into a mapping: our name of a column → its header or its number."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, header = pair.partition("=")
        if not (name and equals and header) or name in columns:
            raise click.BadParameter(f"{pair!r}; expected NAME=HEADER, for example file=path, and every NAME once")
        columns[name] = header
    return columns


class RegistryName(click.ParamType):
    """One of several known names, or `package.module:Name` for a plug-in of the user."""

    name = "name"

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.known and not is_plugin(value):
            self.fail(f"{value!r} is not one of {', '.join(map(repr, self.known))}, or {EXPECTED}.", param, ctx)
        return value


class ChoiceWithAliases(click.Choice[str]):
    """A choice in which some values have former names, which are accepted but not listed in the help.

    Args:
        choices: the values.
        aliases: former name → present name.
    """

    def __init__(self, choices: Iterable[str], aliases: Mapping[str, str]) -> None:
        super().__init__(list(choices))
        self._aliases = aliases

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value for a name or a former name; click reports an error for any other text."""
        return super().convert(self._aliases.get(value, value), param, ctx)


class PackagedFile(click.ParamType):
    """A TOML file, given by its path, or by its name if it is in a folder of the package."""

    name = "file"

    def __init__(self, folder: str) -> None:
        self.folder = Path(spoofcache.__file__).parent / folder

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "NAME|FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        named = {file.stem: file for file in sorted(self.folder.glob("*.toml"))}
        if not path.is_file() and str(value) not in named:
            self.fail(f"{value}: no such file; expected the path of a file, or one of {', '.join(named)}", param, ctx)
        return path if path.is_file() else named[str(value)]


class RunFolder(click.Path):
    """A run folder, or a run on the model hub (`hf://owner/name@revision`), which is downloaded.

    With `change`, the command writes into the folder, so that a run on the hub is refused.
    """

    def __init__(self, change: bool = False) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)
        self.change = change

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            place = hub.find_place(value)
            if place and self.change:
                raise Sentence(
                    f"{place}: a run on the hub, which is not changed; expected a folder, which `hf download "
                    f"{place.repository} --local-dir {place.name}` makes of it"
                )
            return super().convert(hub.local_folder(value), param, ctx)
        except hub.HubError as error:
            raise Sentence(str(error)) from error


input_file = click.Path(exists=True, dir_okay=False, path_type=Path)
input_folder = click.Path(exists=True, file_okay=False, path_type=Path)
run_folder = RunFolder()
checkpoint_folder = click.Path(exists=True, path_type=Path)
"""A folder. A file is accepted here, too, so that the front-end can explain how to convert it into a folder."""
output = click.Path(path_type=Path)

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:k]", help="Where the network runs."
)

column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    callback=named_columns,
    metavar="NAME=HEADER-or-number",
    help="Name a column where the contents leave it open, as in evaluate.py. Repeat the option for several columns.",
)


def _keep_requeue_status(context: click.Context, option: click.Parameter, status: int | None) -> None:
    context.meta[REQUEUE_STATUS] = status


requeue_option = click.option(
    REQUEUE_STATUS,
    type=click.IntRange(1, 255),
    metavar="N",
    expose_value=False,
    callback=_keep_requeue_status,
    help="Exit with this status after SIGTERM, SIGUSR1 or SIGHUP, so that a scheduler starts the command again; by "
    "default, 128 plus the number of the signal.",
)
"""For the commands that can be continued; `sentences` reads it."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "–/s")


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of `total` steps with rate and remaining time; yields `advance(n)`.

    On a terminal, a live bar is shown; in a log file, a line is written every 30 seconds.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_lines(description, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=60.0) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


def _log_lines(description: str, total: int) -> Callable[[int], None]:
    start = last = time.monotonic()
    done = found = 0

    def advance(n: int) -> None:
        nonlocal done, found, last
        done += n
        now = time.monotonic()
        if now - start < 1:  # finished in an earlier run: counting it would make the rate too high
            found = done
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        rate = (done - found) / (now - start)
        left = (total - done) / rate if rate else float("inf")
        click.echo(f"{description}: {done}/{total}, {rate:.1f}/s, {left:.0f} s remaining", err=True)

    return advance
