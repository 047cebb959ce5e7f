"""The extraction benchmark counts what the library multiplies, and keeps figures that make sense. No speed asserted."""

import json

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel

from spoofcache.benchmarks.extraction import (
    CEILING,
    LIBRARY,
    ORIGINAL,
    OURS,
    SQUARE,
    Side,
    _through,
    figures_of,
    main,
    operations,
)
from tests.features.frontends.conftest import TINY
from tests.threads import one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")


def test_operations_are_those_that_torch_counts():
    config = AutoConfig.for_model("wav2vec2", num_hidden_layers=3, do_stable_layer_norm=True, **TINY)
    model = AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 8_000))
    frame_cut_off = 2 * 16 * 32 * 32 // 4  # that the positional convolution, of even width, makes in vain
    assert sum(operations(config, 8_000).values()) == counter.get_total_flops() - frame_cut_off


def test_figures_of_two_rounds():
    sides = {"first": Side(print, 1, 10e12), "second": Side(print, 1, 10e12), CEILING: Side(print, 1, 100e12)}
    figures = figures_of(sides, {"first": [2.0, 4.0], "second": [1.0, 1.0], CEILING: [5.0, 5.0]})
    assert figures["second"] == {"utterances_per_second": 1, "tflops": 10, "share_of_ceiling": 0.5, "ratio": 3}
    assert figures["first"]["ratio"] == 1
    assert figures[CEILING]["tflops"] == 20


def test_blocks_may_give_tuples_as_in_older_versions_of_the_library():
    blocks = [lambda x: (x + 1, None), lambda x: 3 * x]
    assert _through(blocks, torch.tensor(1.0)) == 6


def test_prints_a_line_per_form_and_keeps_the_figures(tmp_path, monkeypatch):
    monkeypatch.setitem(SQUARE, "cpu", 64)
    result_file = tmp_path / "result.json"
    options = "--layers 1 --batch-size 2 --samples 4000 --rounds 1 --precision float32 --parts --device cpu --json"
    done = CliRunner().invoke(main, [*options.split(), str(result_file)], catch_exceptions=False)
    assert done.exit_code == 0
    for line in ("float32 original loop", "float32 ours", "extractor library", "embedding ours", "blocks ours"):
        assert f"\n{line} " in done.stdout
    assert "from the library's in float32" in done.stdout
    result = json.loads(result_file.read_text())
    assert set(result) == {"machine", "settings", "precisions"}
    whole = result["precisions"]["float32"]
    assert list(whole["sides"]) == [ORIGINAL, LIBRARY, OURS, CEILING]
    assert all(figure > 0 for side in whole["sides"].values() for figure in side.values())
    assert list(whole["parts"]) == ["extractor", "embedding", "blocks"]
