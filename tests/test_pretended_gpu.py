"""Does the pretended GPU notice what it is for? The code that orders work on the GPU, with one line left out at a time.

Skipped with a real GPU, where a missing wait goes wrong by chance only.
"""

import ast
import gc
import inspect
from types import ModuleType

import numpy as np
import pytest
import torch

from spoofcache.features import device as device_module
from tests.pretended_gpu import Report, pretended_gpu

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a real GPU is here")

ORDERING = ("wait_stream", "wait_event", "record_stream", "synchronize", "record")
SOURCE = inspect.getsource(device_module)


def ordering_lines() -> list[int]:
    """Numbers of the lines that only make one stream, or the host, wait for another."""
    calls = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Expr)]
    return [
        node.lineno
        for node in calls
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") in ORDERING
    ]


def without(line: int) -> ModuleType:
    """The module with `pass` in place of that line."""
    lines = SOURCE.splitlines()
    code = lines[line - 1]
    lines[line - 1] = code[: len(code) - len(code.lstrip())] + "pass"
    module = ModuleType("spoofcache.features.device_without_a_line")
    exec(compile("\n".join(lines), device_module.__file__, "exec", dont_inherit=True), module.__dict__)
    return module


def works(module: ModuleType, report: Report) -> bool:
    """Do the features of five batches come back right, in time, and without a race?"""
    waveforms = np.random.default_rng(0).standard_normal((8, 400)).astype(np.float32)
    device = module.Device(torch.device("cuda"), lambda batch: batch * 2, "float16")
    before = device.stamp()
    launched = [device.launch(waveforms * k) for k in range(5)]
    gc.collect()
    is_right = True
    for k, each in enumerate(launched):
        stored, expected = each.wait(), (waveforms * k * 2).astype("float16")
        is_right &= np.array_equal(stored.rows.numpy(), expected)
        is_right &= np.array_equal(stored.largest.numpy(), np.abs(waveforms * k * 2).max(axis=1))
    doubled = (torch.ones(3).to("cuda") * 2).to("cpu", non_blocking=True)
    module.end_of_work(torch.device("cuda")).synchronize()
    is_right &= doubled.tolist() == [2, 2, 2]
    later = device.launch(waveforms)
    is_right &= module.seconds_between(before, later.stop) > 0
    later.wait()
    del launched, each, stored, later
    gc.collect()
    return is_right and not report.races


def test_the_module_as_it_is_works():
    with pretended_gpu() as report:
        assert works(device_module, report)


@pytest.mark.parametrize("line", ordering_lines(), ids=lambda line: SOURCE.splitlines()[line - 1].strip())
def test_an_omitted_line_is_noticed(line):
    module = without(line)
    with pretended_gpu() as report:
        try:
            is_noticed = not works(module, report)
        except RuntimeError as error:  # the event was never recorded, or nobody waited for it
            is_noticed = "Both events must be" in str(error)
    assert is_noticed


def test_the_mutations_are_all_of_them():
    assert sum(map(SOURCE.count, ("wait_stream(", "record_stream(", "synchronize(", ".record("))) == len(
        ordering_lines()
    )


def test_operands_on_both_devices_raise():
    with pretended_gpu(), pytest.raises(RuntimeError, match="found cuda:0 and cpu"):
        torch.ones(3, device="cuda") + torch.ones(3)


def test_a_tensor_of_the_gpu_is_no_array():
    with pretended_gpu(), pytest.raises(TypeError, match="can't convert cuda:0"):
        torch.ones(3, device="cuda").numpy()


def test_memory_that_is_overwritten_before_its_upload_ran_gives_other_numbers():
    with pretended_gpu():
        pinned = torch.ones(3).pin_memory()
        there = pinned.to("cuda", non_blocking=True)
        pinned.fill_(7)
        assert there.tolist() == [7, 7, 7]


def test_gradients_cross_from_one_device_to_the_other():
    with pretended_gpu():
        weight = torch.ones(2, requires_grad=True)
        (weight.to("cuda") * 3).cpu().sum().backward()
        assert weight.grad.tolist() == [3, 3]


def test_nothing_is_left_pretended():
    with pretended_gpu():
        pass
    assert not torch.cuda.is_available()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(3).to("cuda")
