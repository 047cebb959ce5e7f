"""Check on a GPU, in at most eight minutes, that the numbers are right and every published speed is reached.

The correctness of what only a GPU does (transfers, features in its memory, cepstra, updates) is checked in this
process. The speeds are measured by the other benchmarks, each in a process of its own, so that one that fails or takes
too long does not end the others. Every claim is passed or failed by name. The exit status is 1 if one was failed.
"""

import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from subprocess import TimeoutExpired, run
from typing import Any, Literal, NamedTuple, get_args

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import numpy as np
import torch

from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.common.children import child_environment, python_command
from spoofcache.engine.config import BackendConfig, ExperimentConfig, TrainConfig
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.optim import Updater
from spoofcache.features.device import Device, Launched
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES

CPU = torch.device("cpu")
Precision = Literal["float32", "bfloat16"]
MOST_SECONDS = 480.0
RESULTS = Path(__file__).resolve().parent / "results"
AUDIO_LIBRARIES = ("av", "soundfile", "soxr")

EXAMPLES = """\b
Examples:
  python benchmarks/gpu_check.py
  # without a GPU: the same steps with little to do, where speeds are measured and not judged
  python benchmarks/gpu_check.py --device cpu --small
"""


class Claim(NamedTuple):
    """A published claim, and the figure that decides whether it holds.

    Attributes:
        name: what is claimed.
        step: the step that measures the figure.
        figure: result of the step → the figure.
        least: smallest figure with which the claim is passed.
        most: largest such figure.
        is_speed: whether it is judged only on a GPU with the full amount of work.
        gpu: part of the name of the GPU for which it is claimed; empty for every GPU.
    """

    name: str
    step: str
    figure: Callable[[Any], float]
    least: float = float("-inf")
    most: float = float("inf")
    is_speed: bool = False
    gpu: str = ""


def _ours(result: Any) -> Mapping[str, float]:
    """Figures of our network in the first precision of `extraction.py`."""
    sides: Mapping[str, Mapping[str, float]] = next(iter(result["precisions"].values()))["sides"]
    return sides["ours"]


CLAIMS = (
    Claim("features come back from the device unchanged", "transfers", lambda r: r["wrong_batches"], most=0),
    Claim("LFCC of the device are those of the CPU", "cepstra", lambda r: max(r.values()), most=1e-3),
    Claim("losses of float32 updates are those of the CPU", "updates", lambda r: r["float32"], most=1e-3),
    Claim("losses of bfloat16 updates are near those of the CPU", "updates", lambda r: r["bfloat16"], most=5e-2),
    Claim("the hidden states are computed by our network", "extraction", lambda r: _transformers(r), most=0),
    Claim("XLS-R-300M: utterances/s, H200", "extraction", lambda r: _ours(r)["utterances_per_second"], 2_500,
          is_speed=True, gpu="H200"),
    Claim("XLS-R-300M: utterances/s, H100", "extraction", lambda r: _ours(r)["utterances_per_second"], 2_000,
          is_speed=True, gpu="H100"),
    Claim("XLS-R-300M: times the original loop", "extraction", lambda r: _ours(r)["ratio"], 25, is_speed=True),
    Claim("files to shards: share of the slowest stage", "pipeline", lambda r: median(r["whole_to_slowest"]), 0.85,
          is_speed=True),
    Claim("LCNN training: utterances/s", "training",
          lambda r: r["parts"]["training"]["ours"]["utterances_per_second"], 2_500, is_speed=True),
    Claim("LCNN scoring: times the original form", "training", lambda r: r["parts"]["scoring"]["ours"]["ratio"], 10,
          is_speed=True),
)  # fmt: skip


def _transformers(result: Any) -> float:
    """Number of messages that the extraction fell back to the transformers library."""
    return sum(said.startswith("transformers") for each in result["precisions"].values() for said in each["said"])


@dataclass(frozen=True)
class Judgement:
    """The result of a claim. `figure` is None if it was not measured; the claim has then failed."""

    name: str
    figure: float | None
    least: float | None
    most: float | None
    passed: bool

    def __str__(self) -> str:
        bounds = [
            f"{word} {value:g}"
            for word, value in (("at least", self.least), ("at most", self.most))
            if value is not None
        ]
        figure = "not measured" if self.figure is None else f"{self.figure:.4g}"
        return f"{'passed' if self.passed else 'FAILED'}  {self.name}: {figure}, expected {' and '.join(bounds)}"


def judge(results: Mapping[str, Any], gpu: str, with_speed: bool) -> list[Judgement]:
    """Judge the claims that apply.

    Args:
        results: step → its result; steps that failed are absent.
        gpu: the name of the GPU; empty for a CPU.
        with_speed: judge speeds, too.

    >>> [each.passed for each in judge({"transfers": {"wrong_batches": 0}}, "", False)][:2]
    [True, False]
    """
    judged = []
    for claim in CLAIMS:
        if claim.gpu not in gpu or (claim.is_speed and not with_speed):
            continue
        figure = float(claim.figure(results[claim.step])) if claim.step in results else None
        passed = figure is not None and claim.least <= figure <= claim.most
        least, most = (value if np.isfinite(value) else None for value in (claim.least, claim.most))
        judged.append(Judgement(claim.name, figure, least, most, passed))
    return judged


# ------------------------------------------------------------------------------------------------ in this process


def transfers(device: torch.device, small: bool) -> Mapping[str, float]:
    """Send several batches at once to the device and back; returns how many are not the features of their input."""
    waveforms = np.random.default_rng(0).standard_normal((64, 4_000 if small else 64_600), dtype=np.float32)
    way, in_flight, wrong, n = (
        Device(device, lambda batch: batch * 2, "float16"),
        deque[Launched](),
        0,
        5 if small else 50,
    )
    for done in range(-4, n):
        if done + 4 < n:
            in_flight.append(way.launch(waveforms * (done + 5)))
        if done >= 0:
            expected = torch.from_numpy(waveforms * (done + 1) * 2).half().numpy()
            wrong += not np.array_equal(in_flight.popleft().wait().rows.numpy(), expected)
    return {"batches": n, "wrong_batches": wrong}


def cepstra(device: torch.device, small: bool) -> Mapping[str, float]:
    """Largest difference between LFCC of the device and of the CPU, by front-end."""
    names = ("lfcc", "lfcc-fullband")
    waveforms = 0.1 * torch.randn(2 if small else 16, 64_600, generator=torch.Generator().manual_seed(0))
    there, here = ({name: make_frontend(name, FrontEndOptions(device=d)) for name in names} for d in (device, CPU))
    with torch.inference_mode():
        return {
            name: float((there[name].extract(waveforms).cpu() - here[name].extract(waveforms)).abs().max())
            for name in names
        }


def updates(device: torch.device, small: bool) -> Mapping[str, float]:
    """Largest relative difference between the losses of three updates on the device and on the CPU, by precision."""
    steps, precisions = 2 if small else 3, get_args(Precision)
    return {
        precision: float(np.abs(np.array(_losses(device, precision, steps)) / _losses(CPU, "float32", steps) - 1).max())
        for precision in precisions
    }


def _losses(device: torch.device, precision: Precision, steps: int) -> list[float]:
    """Losses of a small LCNN without dropout, which draws other numbers on each device."""
    torch.manual_seed(0)
    network = BACKENDS["lcnn"]((32, 64), dropout=0.0)
    width = network.eval()(torch.zeros(1, 32, 64)).embedding.shape[1]
    model = Countermeasure(network, LOSSES["cross_entropy"](torch.ones(2), width)).to(device).train()
    experiment = ExperimentConfig(BackendConfig("lcnn"), train=TrainConfig(batch_size=8, precision=precision))
    updater = Updater(model, experiment, steps, device)
    features = torch.randn(8, 32, 64, generator=torch.Generator().manual_seed(1)).to(device)
    return [updater.update(step, features, torch.arange(8) % 2) for step in range(steps)]


# --------------------------------------------------------------------------------------- in processes of their own


def benchmarks(device: torch.device, small: bool) -> Mapping[str, Sequence[object]]:
    """Name of a benchmark → its arguments, in the order of the claims."""
    there = ("--device", device)
    if small:
        return {
            "extraction": ("--precision", "float32", "--layers", 1, "--samples", 16_000, "--rounds", 1, *there),
            "training": (
                "--rows",
                8,
                "--batch-size",
                2,
                "--steps",
                1,
                "--rounds",
                1,
                "--workers",
                0,
                "--eager",
                *there,
            ),
            "pipeline": ("--limit", 16, "--rounds", 1, *there),
            "read_cache": ("--rows", 16, "--items", 32, "--batch-size", 8, "--rounds", 1),
        }
    of_xls_r = ("--frontend", "xls-r-300m", "--blocks", 24, "--precision", "float16")
    return {
        "extraction": ("--precision", "float16", "--rounds", 5, *there),
        "training": ("--rows", 1024, "--batch-size", 64, "--steps", 30, "--rounds", 3, "--workers", 8, *there),
        "pipeline": (*of_xls_r, "--limit", 8_000, "--rounds", 1, *there),
        "read_cache": ("--rounds", 3),
    }


def measured(name: str, arguments: Sequence[object], end: float) -> Any:
    """The figures that a benchmark writes, which may run until `end`, a time of `time.perf_counter`.

    Raises:
        RuntimeError: it failed, or took longer than it may.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = python_command(f"spoofcache.benchmarks.{name}", *map(str, arguments), "--json", str(path))
        seconds = max(1.0, end - time.perf_counter())
        try:
            done = run(command, env=child_environment(), capture_output=True, text=True, check=False, timeout=seconds)
        except TimeoutExpired:
            raise RuntimeError(f"took longer than the {seconds:.0f} s that were left") from None
        if done.returncode:
            raise RuntimeError((done.stderr or done.stdout).strip()[-500:])
        return json.loads(path.read_text(encoding="utf-8"))


class Check:
    """The steps and their results.

    Attributes:
        results: step → its result.
        failures: step → why it has none.
    """

    def __init__(self, device: torch.device, small: bool, seconds: float) -> None:
        self._device, self._small, self._end = device, small, time.perf_counter() + seconds
        self.results: dict[str, Any] = {}
        self.failures: dict[str, str] = {}

    def run(self) -> None:
        """All steps, the correctness first."""
        for step in (transfers, cepstra, updates):
            self._try(step.__name__, partial(step, self._device, self._small))
        for name, arguments in benchmarks(self._device, self._small).items():
            if name == "pipeline" and (missing := [each for each in AUDIO_LIBRARIES if find_spec(each) is None]):
                self.failures[name] = f"not installed: {' '.join(missing)}"
                continue
            self._try(name, partial(measured, name, arguments, self._end))

    def _try(self, name: str, step: Callable[[], Any]) -> None:
        start = time.perf_counter()
        if start > self._end:
            self.failures[name] = "no time was left"
            return
        try:
            self.results[name] = step()
        except Exception as error:  # whatever a GPU may raise: the other steps still say something
            self.failures[name] = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - start
        click.echo(f"{name}: {self.failures.get(name, 'done')} ({seconds:.1f} s)", err=True)


@click.command(epilog=EXAMPLES, context_settings={"show_default": True})
@click.option("--device", default="cuda", metavar="cuda[:k]|cpu", help="The device to check.")
@click.option("--small", is_flag=True, help="Give every step little to do, and judge no speed.")
@click.option("--seconds", type=click.FloatRange(1), default=MOST_SECONDS, help="Start no step after this time.")
@click.option(
    "--json",
    "json_path",
    type=cli.output,
    help="Write every figure to this file.  [default: benchmarks/results/gpu-<machine>.json; on a CPU, none]",
)
@cli.sentences()
def main(device: str, small: bool, seconds: float, json_path: Path | None) -> None:
    """Check the GPU paths of SpoofCache for right numbers and published speeds."""
    machine, place = Machine.here(), cli.resolve_device(device)
    gpu = torch.cuda.get_device_name(place) if place.type == "cuda" else ""
    if gpu and json_path is None:
        json_path = RESULTS / f"gpu-{machine.name}.json"
    click.echo(f"{machine}, {gpu or 'no GPU'}")
    check = Check(place, small, seconds)
    with OthersShare() as others:
        check.run()
    judged = judge(check.results, gpu, with_speed=bool(gpu) and not small)
    click.echo("\n".join(map(str, judged)))
    figures = {"gpu": gpu, "small": small, "others_share": others.share, "failures": check.failures}
    write_json(json_path, machine, {**figures, "claims": [vars(each) for each in judged], "results": check.results})
    if not all(each.passed for each in judged):
        sys.exit(1)


if __name__ == "__main__":
    main()
