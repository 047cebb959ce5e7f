"""How far our numbers may lie from reference numbers that somebody else computed in float32: said here once.

The references in tests/golden are float32 results of other code on another processor. They carry rounding errors of
their own, and how large those are depends on the network or the input, not on us. So a tolerance is a multiple of the
reference's own rounding error. A mistake in a formula is larger by orders of magnitude.
"""

from collections.abc import Callable

import torch

LARGEST_SHIFT = 20
"""Two float32 runs of one network on different processors differ by less than this many times the difference between
the original's float32 and float64 runs, which is stored beside its outputs."""


def network_tolerance(float32_error: float) -> float:
    """Largest absolute difference that passes for a network whose float32 run is off by `float32_error`."""
    return max(1e-6, LARGEST_SHIFT * float(float32_error))


def input_tolerance(function: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> float:
    """Five times what a float32 rounding error of the largest input value does to the output of `function`.

    An FFT in float32 is as exact as an exact FFT of an input that is off by such errors. On noise they are lost, but
    beside a pure tone they decide the bands that hold nothing else. `function` must compute in float64.
    """
    generator = torch.Generator().manual_seed(0)
    expected = function(inputs)
    largest = 0.0
    for _ in range(4):
        error = torch.rand(inputs.shape, generator=generator, dtype=torch.float64) * 2 - 1
        disturbed = inputs.double() + error * inputs.abs().max() * 2.0**-24
        largest = max(largest, float((function(disturbed) - expected).abs().max()))
    return 5 * largest
