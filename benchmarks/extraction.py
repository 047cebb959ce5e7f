"""Measure how fast hidden states of a speech model are computed, with random weights in the geometry of XLS-R-300M.

Three forms are measured in turns: the original loop (the model of the library with the default settings of torch, batch
size 1, float32), the model of the library on batches, and our network; the last two in each precision. The rate of a
large matrix product of the same type is the ceiling. The result is the median over rounds of the ratio within a round,
because a busy machine slows all alike. `--parts` also measures the convolutional extractor, the embedding with its
positional convolution, and the blocks separately.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click

from spoofcache.common import cli  # before torch, because it sets how the threads of torch wait

# isort: split
import torch

from spoofcache.benchmarks.backends import aligned
from spoofcache.benchmarks.machine import Machine, OthersShare, write_json
from spoofcache.benchmarks.options import json_option
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.geometry import ARCHITECTURES
from spoofcache.features.frontends.networks import CheckedNetwork, LibraryNetwork
from spoofcache.features.frontends.ssl import PRECISIONS
from spoofcache.features.frontends.wav2vec2 import Wav2Vec2
from spoofcache.features.waveform import MIN_SAMPLES, N_SAMPLES

ARCHITECTURE = "xls-r-300m"
ORIGINAL, LIBRARY, OURS, CEILING = "original loop", "library", "ours", "ceiling"
SQUARE = {"cpu": 4096, "cuda": 16_384}
"""Rows and columns of the matrices whose product is the ceiling."""

PRODUCTS = {"cpu": 1, "cuda": 10}
"""Number of these products per turn. One takes an H200 only 11 ms in 16 bits, which is too short to be measured."""

EXAMPLES = """\b
Examples:
  python benchmarks/extraction.py --json extraction.json
  python benchmarks/extraction.py --precision bfloat16 --layers 5 --parts
  python benchmarks/extraction.py --device cuda --rounds 9 --parts --json extraction-h200.json
"""


class Side(NamedTuple):
    """A measured form: a function that runs it once, its number of utterances, and the operations per utterance."""

    run: Callable[[], object]
    utterances: int
    operations: float


def operations(config: Any, n_samples: int) -> dict[str, float]:
    """Multiplications and additions per utterance in the products of each part (norms and activations are not counted).

    >>> from transformers import AutoConfig
    >>> config = AutoConfig.for_model(ARCHITECTURES["xls-r-300m"][0], **ARCHITECTURES["xls-r-300m"][1])
    >>> {part: round(number / 1e9, 1) for part, number in operations(config, 64_600).items()}
    {'extractor': 19.8, 'embedding': 3.6, 'blocks': 125.4}
    """
    length, channels, extractor = n_samples, 1, 0
    for out, width, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        length = (length - width) // stride + 1
        extractor += 2 * length * width * channels * out
        channels = out
    size, wide = config.hidden_size, config.intermediate_size
    positions = 2 * length * config.num_conv_pos_embeddings * size * size // config.num_conv_pos_embedding_groups
    block = 2 * length * (4 * size * size + 2 * size * wide) + 4 * length * length * size
    return {
        "extractor": extractor,
        "embedding": 2 * length * channels * size + positions,
        "blocks": config.num_hidden_layers * block,
    }


def seconds_in_turns(sides: Mapping[str, Side], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds per utterance of each side in each round. Each side runs once before the measurement."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(1 + rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side.run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append((time.perf_counter() - start) / side.utterances)
    return {name: seconds[1:] for name, seconds in times.items()}


def figures_of(sides: Mapping[str, Side], times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """For each side: utterances/s, TFLOP/s, share of the ceiling, and speed relative to the first side."""
    first, ceiling = times[next(iter(sides))], times[CEILING]
    figures = {}
    for name, side in sides.items():
        shares = [
            side.operations * full / (sides[CEILING].operations * taken)
            for taken, full in zip(times[name], ceiling, strict=True)
        ]
        figures[name] = {
            "utterances_per_second": 1 / median(times[name]),
            "tflops": side.operations / median(times[name]) / 1e12,
            "share_of_ceiling": median(shares),
            "ratio": median(one / taken for one, taken in zip(first, times[name], strict=True)),
        }
    return figures


class Benchmark:
    """The library's model with random weights, and random waveforms [B, n] of unit variance as its input."""

    def __init__(self, layers: int, batch_size: int, n_samples: int, device: torch.device, rounds: int) -> None:
        from transformers import AutoConfig

        model_type, geometry = ARCHITECTURES[ARCHITECTURE]
        self._config = AutoConfig.for_model(model_type, **{**geometry, "num_hidden_layers": layers})
        self._device, self._rounds = device, rounds
        self._original = self._model().to(device)
        self._waveforms = torch.randn(batch_size, n_samples).to(device)
        self._operations = operations(self._config, n_samples)

    def _model(self) -> Any:
        """The library's model in float32, every time with the same weights."""
        from transformers import AutoModel

        torch.manual_seed(0)
        return AutoModel.from_config(self._config).eval().requires_grad_(False)

    @torch.inference_mode()
    def whole(self, precision: str) -> dict[str, Any]:
        """Measure the three forms and the ceiling, and the difference of our network from the library in float32."""
        dtype, batch_size, said = PRECISIONS[precision], len(self._waveforms), list[str]()
        options = FrontEndOptions(device=self._device, check=True, compiled_batch_size=batch_size)
        ours = CheckedNetwork(self._model(), ("last",), dtype, options, said.append)
        ours(self._waveforms)  # decides, and compiles on a GPU
        library = LibraryNetwork(self._model().to(self._device, dtype), ("last",))
        n_operations = sum(self._operations.values())
        runs: dict[str, Callable[[], object]] = {
            ORIGINAL: lambda: [self._original(waveform[None]).last_hidden_state.cpu() for waveform in self._waveforms],
            LIBRARY: lambda: library(self._waveforms),
            OURS: lambda: ours(self._waveforms),
        }
        return self._measure({name: Side(run, batch_size, n_operations) for name, run in runs.items()}, dtype) | {
            "said": said
        }

    @torch.inference_mode()
    def parts(self, precision: str) -> dict[str, Any]:
        """Compare the library's form with ours for each part of the network, and measure the ceiling."""
        model = self._model().to(self._device, PRECISIONS[precision])
        ours = Wav2Vec2(model, ("last",))
        if self._device.type == "cuda":
            ours.compile_parts()
        waveforms = self._waveforms.to(model.dtype)
        frames = ours.extractor(waveforms)
        embedded = ours.embedding(frames)

        def embed() -> torch.Tensor:
            x = model.feature_projection(frames)[0]
            return x + model.encoder.pos_conv_embed(x)

        pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "extractor": (lambda: model.feature_extractor(waveforms), lambda: ours.extractor(waveforms)),
            "embedding": (embed, lambda: ours.embedding(frames)),
            "blocks": (lambda: _through(model.encoder.layers, embedded), lambda: _through(ours.blocks, embedded)),
        }
        return {
            part: self._measure(
                {
                    name: Side(run, len(waveforms), self._operations[part])
                    for name, run in zip((LIBRARY, OURS), pair, strict=True)
                },
                model.dtype,
            )
            for part, pair in pairs.items()
        }

    def _measure(self, sides: dict[str, Side], dtype: torch.dtype) -> dict[str, Any]:
        size, products = SQUARE[self._device.type], PRODUCTS[self._device.type]
        left, right = (torch.randn(size, size, device=self._device).to(dtype) for _ in range(2))

        def multiply() -> None:
            for _ in range(products):
                left @ right

        sides = sides | {CEILING: Side(multiply, products, 2 * math.pow(size, 3))}
        with OthersShare() as others:
            times = seconds_in_turns(sides, self._rounds, self._device)
        return {"sides": figures_of(sides, times), "seconds": times, "others_share": others.share}


def _through(blocks: Any, x: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        output = block(x)
        x = output[0] if isinstance(output, tuple) else output  # a tuple in older versions of the library
    return x


def table(results: Mapping[str, Mapping[str, Any]], first: str) -> str:
    """The result as text: a line per form; `first` heads the first column."""
    rows = [[first, "utterances/s", "TFLOP/s", "of the ceiling", "ratio", "others"]]
    for what, result in results.items():
        for name, one in result["sides"].items():
            if name == CEILING:
                rows.append([f"{what} {name}", "", f"{one['tflops']:.2f}", "", "", ""])
                continue
            rows.append([f"{what} {name}", f"{one['utterances_per_second']:.2f}", f"{one['tflops']:.2f}"])
            rows[-1] += [f"{one['share_of_ceiling']:.0%}", f"{one['ratio']:.2f}", f"{result['others_share']:.0%}"]
    return aligned(rows)


@click.command(epilog=EXAMPLES)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(list(PRECISIONS)),
    multiple=True,
    help="Precision to measure. Repeat the option for several.  [default: all]",
)
@click.option("--layers", type=click.IntRange(1), default=24, show_default=True, help="Number of blocks of the model.")
@click.option("--batch-size", type=click.IntRange(1), help="Utterances per call.  [default: 8, or 64 on a GPU]")
@click.option(
    "--samples", type=click.IntRange(MIN_SAMPLES), default=N_SAMPLES, show_default=True, help="Length at 16 kHz."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds.")
@click.option("--parts", is_flag=True, help="Also measure extractor, embedding and blocks separately.")
@json_option
@cli.device_option
@cli.sentences()
def main(
    precisions: Sequence[str], layers: int, batch_size: int | None, samples: int, rounds: int, parts: bool,
    json_path: Path | None, device: str,
) -> None:  # fmt: skip
    """Measure the rate of a speech model: the original loop, the library on batches, and our network."""
    machine, place = Machine.here(), cli.resolve_device(device)
    batch_size = batch_size or (64 if place.type == "cuda" else 8)
    precisions = precisions or (list(PRECISIONS) if place.type == "cuda" else ["float32", "bfloat16"])
    on_gpu = f", {torch.cuda.get_device_name(place)}" if place.type == "cuda" else ""
    click.echo(f"{machine}, {torch.get_num_threads()} threads{on_gpu}; others: share of the cores that they took")
    benchmark, result = Benchmark(layers, batch_size, samples, place, rounds), dict[str, Any]()
    with cli.progress("precisions", len(precisions)) as advance:
        for precision in precisions:
            result[precision] = benchmark.whole(precision)
            advance(1)
    click.echo(table(result, f"{layers} blocks, batches of {batch_size}"))
    for precision in precisions:
        click.echo("\n".join(f"{precision}: {sentence}" for sentence in result[precision]["said"]))
        if parts:
            result[precision]["parts"] = benchmark.parts(precision)
            click.echo(table(result[precision]["parts"], precision))
    settings = {"layers": layers, "batch_size": batch_size, "samples": samples, "rounds": rounds, "device": str(place)}
    write_json(json_path, machine, {"settings": settings, "precisions": result})


if __name__ == "__main__":
    main()
