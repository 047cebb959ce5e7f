"""Measure the cost of back-ends: parameters, milliseconds per utterance and peak memory of every network of BACKENDS.

Each back-end runs on its usual features, forward (evaluation in inference mode) and forward + backward (training). The
baseline `lcnn` is measured in turns with each of them. The result is the median over rounds of the ratio within a
round, because a busy machine slows both alike. Memory is that of one step in addition to the parameters and the batch.

`--compile` compares torch.compile with eager execution. `--plain` compares back-ends, in float32 and with bfloat16
autocast (and compiled, with `--compile`), with their plain form in eager float32. `--pairs` compares the graph
attention of models/graph.py with its plain form.
"""

import ctypes
import os
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.benchmarks.plain import PLAIN, build
from spoofcache.common.machine import peak_bytes
from spoofcache.models import BACKENDS
from spoofcache.models.graph import pair_scores

BASELINE = "lcnn"
HIDDEN_STATE, LAYERS, WAVEFORM, LFCC, MFCC = (201, 1024), (24, 201, 1024), (64_600,), (404, 60), (404, 80)
FEATURES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(BACKENDS, HIDDEN_STATE),
    **dict.fromkeys(("layerwise_ffn", "layerwise_aasist", "sls", "mhfa"), LAYERS),
    **dict.fromkeys(("aasist", "aasist_l", "rawnet2"), WAVEFORM),
    "lcnn_lstm": LFCC,
    "ecapa_tdnn": MFCC,
}
"""The shape of the usual features of each back-end, for 64,600 samples."""

LARGEST_BATCH = {"res2net": 4}
"""Largest batch of back-ends for which a step with eight utterances takes more than a minute on two cores."""

WARM_UP = 2
"""Utterances in a step before memory is measured in a child process: the fewest on which batch norm can train."""

PAIR_NODES, PAIR_BATCH, PAIR_CHANNELS = (67, 240), 16, 64
"""The number of nodes in the largest graphs of `ssl_aasist` and of `w2v_aasist`."""

PAIR_TOLERANCE = 1e-4
"""Largest allowed difference of scores and gradients, relative to the largest value of the plain form."""

EXAMPLES = """\b
Examples:
  python benchmarks/backends.py
  python benchmarks/backends.py --backend aasist --backend ssl_aasist --rounds 7
  python benchmarks/backends.py --backend nes2net_x --compile
  python benchmarks/backends.py --plain --backend lcnn --batch-size 8
  python benchmarks/backends.py --pairs
"""

Step = Callable[[int], object]
"""A function that works on the first n utterances of a batch, and waits for the device."""


class Work(Protocol):
    """Work to measure. It is a small description that is sent to a child process and built there."""

    @property
    def batch_size(self) -> int: ...
    @property
    def device(self) -> str: ...
    def step(self) -> Step: ...


@dataclass(frozen=True)
class Network:
    """A back-end on random features [batch_size, *shape]: forward alone, or with the backward pass."""

    backend: str
    shape: tuple[int, ...]
    batch_size: int
    device: str = "cpu"
    train: bool = False
    compiled: bool = False
    bfloat16: bool = False
    plain: bool = False

    def build(self) -> nn.Module:
        """The network with random weights, in the mode of the step."""
        torch.manual_seed(0)
        return build(self.backend, self.shape, self.plain).to(self.device).train(self.train)

    def step(self) -> Step:
        network = self.build()
        if self.compiled:
            torch.compiler.reset()  # else the variants of one network count towards the compiler's limit
        model = torch.compile(network, fullgraph=True) if self.compiled else network
        features = torch.randn(self.batch_size, *self.shape, device=self.device)
        labels = torch.arange(self.batch_size, device=self.device) % 2
        kind = torch.device(self.device).type

        def logits(n: int) -> torch.Tensor:
            with torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16):
                return model(features[:n]).logits

        def forward(n: int) -> None:
            with torch.inference_mode():
                logits(n)
            _wait(self.device)

        def forward_backward(n: int) -> None:
            F.cross_entropy(logits(n).float(), labels[:n]).backward()
            network.zero_grad(set_to_none=True)  # so that the gradients count in every step
            _wait(self.device)

        return forward_backward if self.train else forward


def plain_pair_scores(x: torch.Tensor, projection: nn.Linear, weights: torch.Tensor) -> torch.Tensor:
    """`pair_scores` as the originals write it, all B·N·N·D products at once: x [B, N, D] → [B, K, N, N]."""
    n_nodes = x.shape[1]
    left = x.unsqueeze(2).expand(-1, -1, n_nodes, -1)
    return torch.matmul(torch.tanh(projection(left * left.transpose(1, 2))), weights).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Pairs:
    """Scores of all pairs of nodes, with their gradients, by our form or by the plain one."""

    n_nodes: int
    plain: bool
    device: str = "cpu"
    batch_size: int = PAIR_BATCH

    def step(self) -> Callable[[int], list[torch.Tensor]]:
        """The scores [n, 1, N, N], followed by the gradients of nodes, matrix, bias and weights."""
        torch.manual_seed(0)
        x = torch.randn(self.batch_size, self.n_nodes, PAIR_CHANNELS, device=self.device, requires_grad=True)
        projection = nn.Linear(PAIR_CHANNELS, PAIR_CHANNELS, device=self.device)
        weights = torch.randn(PAIR_CHANNELS, 1, device=self.device, requires_grad=True)
        cotangent = torch.randn(self.batch_size, 1, self.n_nodes, self.n_nodes, device=self.device)
        form = plain_pair_scores if self.plain else pair_scores

        def forward_backward(n: int) -> list[torch.Tensor]:
            scores = form(x[:n], projection, weights)
            gradients = torch.autograd.grad(scores, [x, *projection.parameters(), weights], cotangent[:n])
            _wait(self.device)
            return [scores.detach(), *gradients]

        return forward_backward


def require_same(n_nodes: int, device: str) -> float:
    """Largest relative difference between the two forms of Pairs.

    Raises:
        cli.Sentence: above PAIR_TOLERANCE.
    """
    ours, plain = (Pairs(n_nodes, form, device).step()(PAIR_BATCH) for form in (False, True))
    differences = [(one - other).abs().max() / other.abs().max() for one, other in zip(ours, plain, strict=True)]
    largest = float(torch.stack(differences).max())  # a NaN stays one
    if not largest <= PAIR_TOLERANCE:
        raise cli.Sentence(f"{n_nodes} nodes: the two forms differ by {largest:.1e}; expected {PAIR_TOLERANCE} at most")
    return largest


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def in_turns(ours: Work, baseline: Work, rounds: int) -> dict[str, Any]:
    """Medians of the milliseconds per utterance of both sides and of their ratio. The sides are measured in turns."""
    sides = [(work.step(), work.batch_size) for work in (ours, baseline)]
    for step, n in sides:
        step(n)
    times: list[list[float]] = []
    with OthersShare() as others:
        for _ in range(rounds):
            times.append([_milliseconds(step, n) for step, n in sides])
    return {
        "ms": median(our_time for our_time, _ in times),
        "ratio": median(our_time / base_time for our_time, base_time in times),
        "rounds": [our_time for our_time, _ in times],
        "baseline_rounds": [base_time for _, base_time in times],
        "others_share": others.share,
    }


def _milliseconds(step: Step, n: int) -> float:
    start = time.perf_counter()
    step(n)
    return (time.perf_counter() - start) * 1000 / n


def peak_of(work: Work) -> int:
    """Peak memory of a step in bytes in addition to what was allocated before, measured in a new process.

    A process that has run other steps holds freed memory, which would hide the memory of a step.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_here, work).result()


def _peak_here(work: Work) -> int:
    _return_freed_memory()
    step = work.step()
    step(min(WARM_UP, work.batch_size))  # loads the code of the kernels
    if work.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(work.device)
        before = torch.cuda.memory_allocated(work.device)
        step(work.batch_size)
        return torch.cuda.max_memory_allocated(work.device) - before
    return added_peak(lambda: step(work.batch_size))


def _return_freed_memory() -> None:
    """Let glibc map every block of 64 KiB or more separately, so that it is returned to the system when it is freed."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(-3, 2**16)  # M_MMAP_THRESHOLD


def added_peak(action: Callable[[], object]) -> int:
    """The largest growth of the resident size of this process, in bytes, while the action runs."""
    with suppress(OSError):  # not Linux: the peak since the start must do
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before = _resident_peak()
    action()
    return _resident_peak() - before


def _resident_peak() -> int:
    """The largest resident size in bytes, read from VmHWM of Linux, since ru_maxrss inherits the parent's peak."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def networks(backend: str, batch_size: int, device: str) -> dict[str, Network]:
    """The two kinds of step of a back-end, under the names of the JSON file."""
    batch_size = min(batch_size, LARGEST_BATCH.get(backend, batch_size))
    forward = Network(backend, FEATURES[backend], batch_size, device)
    return {"forward": forward, "forward_backward": replace(forward, train=True)}


def measure_backends(names: Sequence[str], batch_size: int, device: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Per back-end: features, batch size, trainable parameters, and time and memory of each kind of step."""
    baselines, figures = networks(BASELINE, batch_size, device), {}
    with cli.progress("steps of back-ends", 2 * len(names)) as advance:
        for name in names:
            ours = networks(name, batch_size, device)
            network = ours["forward"]
            figures[name] = {
                "features": network.shape,
                "batch_size": network.batch_size,
                "parameters": sum(p.numel() for p in network.build().parameters() if p.requires_grad),
            }
            for kind, work in ours.items():
                figures[name][kind] = {**in_turns(work, baselines[kind], rounds), "peak_bytes": peak_of(work)}
                advance(1)
    return figures


def measure_compiled(names: Sequence[str], batch_size: int, device: str, rounds: int) -> dict[str, dict[str, Any]]:
    """For each back-end and kind of step, compare the compiled graph with eager execution.

    Back-ends with a recurrent layer cannot be compiled and are omitted.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        click.echo(f"no C++ compiler ({compiler}) found: nothing is compiled")
        return {}
    figures = {}
    with cli.progress("compiled back-ends", len(names)) as advance:
        for name in names:
            eager = networks(name, batch_size, device)
            recurrent = any(isinstance(module, nn.RNNBase) for module in eager["forward"].build().modules())
            figures[name] = {
                kind: in_turns(replace(work, compiled=True), work, rounds)
                for kind, work in eager.items()
                if not recurrent
            }
            advance(1)
    return figures


def measure_plain(
    names: Sequence[str], batch_size: int, device: str, rounds: int, with_compiled: bool
) -> dict[str, dict[str, Any]]:
    """Per back-end: the `difference` of the forms' logits, and under `settings` both kinds of step of either form, each
    against the plain form in eager float32.

    Raises:
        cli.Sentence: a back-end without a plain form.
    """
    if strange := set(names) - set(PLAIN):
        raise cli.Sentence(f"--plain with --backend {min(strange)}; expected one of {', '.join(PLAIN)}")
    settings = list(product((False, True), (False, True) if with_compiled else (False,), (False, True)))
    figures: dict[str, dict[str, Any]] = {}
    with cli.progress("settings of both forms", len(settings) * len(names)) as advance:
        for name in names:
            baselines = {kind: replace(work, plain=True) for kind, work in networks(name, batch_size, device).items()}
            figures[name] = {"difference": difference_of_forms(baselines["forward"]), "settings": {}}
            for plain, compiled, bfloat16 in settings:
                figures[name]["settings"][_setting(plain, compiled, bfloat16)] = {
                    kind: in_turns(replace(work, plain=plain, compiled=compiled, bfloat16=bfloat16), work, rounds)
                    for kind, work in baselines.items()
                }
                advance(1)
    return figures


def _setting(plain: bool, compiled: bool, bfloat16: bool) -> str:
    form, how = "plain" if plain else "ours", "compiled" if compiled else "eager"
    return f"{form} {how} {'bfloat16' if bfloat16 else 'float32'}"


def difference_of_forms(network: Network) -> float:
    """The largest difference between the logits of both forms, relative to the largest logit of the plain form."""
    features = torch.randn(2, *network.shape, device=network.device)
    with torch.inference_mode():
        ours, plain = (replace(network, plain=plain).build()(features).logits for plain in (False, True))
    return float((ours - plain).abs().max() / plain.abs().max())


def measure_pairs(device: str, rounds: int) -> dict[str, dict[str, Any]]:
    """For each number of nodes: the ratio of the times of both forms, their peak memory, and their difference."""
    figures = {}
    for n_nodes in PAIR_NODES:
        ours, plain = (Pairs(n_nodes, form, device) for form in (False, True))
        peaks = {"peak_bytes": peak_of(ours), "baseline_peak_bytes": peak_of(plain)}
        figures[str(n_nodes)] = {
            **in_turns(ours, plain, rounds),
            **peaks,
            "memory_ratio": peaks["peak_bytes"] / peaks["baseline_peak_bytes"],
            "largest_difference": require_same(n_nodes, device),
        }
    return figures


def backend_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The result as text, with one line per back-end."""
    columns = [f"× {BASELINE}", "MB", "others"]
    rows = [["back-end", "features", "batch", "parameters", "forward ms", *columns, "forward + backward ms", *columns]]
    for name, found in figures.items():
        rows.append([name, "×".join(map(str, found["features"])), str(found["batch_size"]), f"{found['parameters']:,}"])
        for kind in ("forward", "forward_backward"):
            one = found[kind]
            rows[-1] += [_rounded(one["ms"]), f"{one['ratio']:.3f}", _rounded(one["peak_bytes"] / 1e6)]
            rows[-1] += [f"{one['others_share']:.0%}"]
    return aligned(rows)


def compiled_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The result as text: one line per back-end and kind of step."""
    rows = [["compiled", "step", "ms", "× eager", "others"]]
    for name, kinds in figures.items():
        if not kinds:
            rows.append([name, "recurrent: eager", "", "", ""])
        for kind, one in kinds.items():
            rows.append([name, kind, _rounded(one["ms"]), f"{one['ratio']:.3f}", f"{one['others_share']:.0%}"])
    return aligned(rows)


def plain_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The result as text: one line per back-end and setting."""
    rows = [["back-end", "setting", "forward ms", "× plain", "forward + backward ms", "× plain", "others"]]
    for name, found in figures.items():
        for setting, kinds in found["settings"].items():
            cells = [cell for one in kinds.values() for cell in (_rounded(one["ms"]), f"{one['ratio']:.3f}")]
            rows.append([name, setting, *cells, f"{max(one['others_share'] for one in kinds.values()):.0%}"])
    differences = (f"{name}: logits differ by {found['difference']:.1e}" for name, found in figures.items())
    return "\n".join([aligned(rows), *differences])


def pairs_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The result as text: one line per number of nodes."""
    rows = [["nodes", "ms", "× plain", "MB", "plain MB", "× plain", "difference", "others"]]
    for n_nodes, one in figures.items():
        rows.append([n_nodes, _rounded(one["ms"]), f"{one['ratio']:.2f}", _rounded(one["peak_bytes"] / 1e6)])
        rows[-1] += [_rounded(one["baseline_peak_bytes"] / 1e6), f"{one['memory_ratio']:.2f}"]
        rows[-1] += [f"{one['largest_difference']:.1e}", f"{one['others_share']:.0%}"]
    return aligned(rows)


def _rounded(figure: float) -> str:
    return f"{figure:.2f}" if figure < 10 else f"{figure:,.0f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as text: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


@click.command(epilog=EXAMPLES)
@click.option(
    "--backend",
    "names",
    type=click.Choice(list(BACKENDS)),
    multiple=True,
    help="Back-end to measure. Repeat the option for several.  [default: all]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="Utterances per step (at most 4 for res2net).",
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds.")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda[:k]")
@click.option(
    "--compile", "with_compiled", is_flag=True, help="Also compare torch.compile(fullgraph=True) with eager execution."
)
@click.option("--plain", "only_plain", is_flag=True, help="Compare back-ends with their plain form instead.")
@click.option("--pairs", "only_pairs", is_flag=True, help="Compare graph attention with its plain form instead.")
@json_option
@cli.sentences()
def main(
    names: Sequence[str], batch_size: int, rounds: int, device: str, with_compiled: bool, only_plain: bool,
    only_pairs: bool, json_path: Path | None,
) -> None:  # fmt: skip
    """Measure the parameters, the time and the peak memory of the back-ends."""
    machine, place = Machine.here(), str(cli.resolve_device(device))
    names = names or list(PLAIN if only_plain else BACKENDS)
    on_gpu = f", {torch.cuda.get_device_name(place)}" if place.startswith("cuda") else ""
    click.echo(f"{machine}, {torch.get_num_threads()} threads{on_gpu}; others: share of the cores that they took")
    result: dict[str, Any] = {"settings": {"device": place, "rounds": rounds, "threads": torch.get_num_threads()}}
    if only_pairs:
        result["pairs"] = measure_pairs(place, rounds)
        click.echo(pairs_table(result["pairs"]))
    elif only_plain:
        result["plain"] = measure_plain(names, batch_size, place, rounds, with_compiled)
        click.echo(plain_table(result["plain"]))
    else:
        result["backends"] = measure_backends(names, batch_size, place, rounds)
        click.echo(backend_table(result["backends"]))
        if with_compiled:
            result["compiled"] = measure_compiled(names, batch_size, place, rounds)
            click.echo(compiled_table(result["compiled"]))
    write_json(json_path, machine, result)


if __name__ == "__main__":
    main()
