"""The benchmark of back-ends measures what it says, in turns, and keeps figures that make sense. No timing."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from spoofcache.benchmarks import backends
from spoofcache.benchmarks.backends import (
    FEATURES,
    Network,
    Pairs,
    added_peak,
    compiled_table,
    in_turns,
    main,
    measure_compiled,
    networks,
    peak_of,
    require_same,
)
from spoofcache.benchmarks.plain import PLAIN
from spoofcache.common.cli import Sentence
from spoofcache.models import BACKENDS

SMALL = {"lcnn": (17, 33), "pooled_linear": (5, 8), "lcnn_lstm": (17, 33)}


@pytest.fixture
def small(monkeypatch):
    """Small features, and no child process: every step is said to take 123 MB."""
    monkeypatch.setattr(backends, "FEATURES", SMALL)
    monkeypatch.setattr(backends, "PAIR_NODES", (3,))
    monkeypatch.setattr(backends, "peak_of", lambda work: 123_000_000)


def run(tmp_path, *options):
    """Standard output and the JSON file of one run of the command."""
    out = tmp_path / "out.json"
    done = CliRunner().invoke(main, [*options, "--rounds", "2", "--json", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout, json.loads(out.read_text())


@pytest.mark.usefixtures("small")
def test_prints_a_line_per_backend_and_keeps_the_figures(tmp_path):
    printed, result = run(tmp_path, "--backend", "pooled_linear", "--backend", "lcnn", "--batch-size", "3")
    machine, header, *lines = printed.splitlines()
    assert "cores" in machine
    assert header.split()[:4] == ["back-end", "features", "batch", "parameters"]
    assert [line.split()[:4] for line in lines] == [
        ["pooled_linear", "5×8", "3", "18"],  # 8 weights and a bias for each of two logits
        ["lcnn", "17×33", "3", f"{result['backends']['lcnn']['parameters']:,}"],
    ]
    assert set(result) == {"machine", "settings", "backends"}
    assert result["settings"] == {"device": "cpu", "rounds": 2, "threads": torch.get_num_threads()}
    for kind in ("forward", "forward_backward"):
        found = result["backends"]["pooled_linear"][kind]
        assert len(found["rounds"]) == len(found["baseline_rounds"]) == 2
        assert found["ms"] > 0 < found["ratio"]
        assert found["peak_bytes"] == 123_000_000
        assert 0 <= found["others_share"] <= 1


@pytest.mark.usefixtures("small")
def test_pairs_reports_both_sides_and_their_difference(tmp_path):
    printed, result = run(tmp_path, "--pairs")
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["nodes", "3"]
    assert result["pairs"]["3"]["memory_ratio"] == 1
    assert result["pairs"]["3"]["largest_difference"] < 1e-6


@pytest.mark.usefixtures("small")
def test_plain_sets_every_setting_of_both_forms_against_the_plain_form_in_eager_float32(tmp_path):
    printed, result = run(tmp_path, "--plain", "--backend", "lcnn", "--batch-size", "2")
    found = result["plain"]["lcnn"]
    assert list(found["settings"]) == [
        f"{form} eager {kind}" for form in ("ours", "plain") for kind in ("float32", "bfloat16")
    ]
    assert 0 <= found["difference"] < 1e-5
    assert [line.split()[:4] for line in printed.splitlines()[2:]] == [
        *(["lcnn", *setting.split()] for setting in found["settings"]),
        ["lcnn:", "logits", "differ", "by"],
    ]
    for kinds in found["settings"].values():
        assert list(kinds) == ["forward", "forward_backward"]
        assert all(one["ms"] > 0 < one["ratio"] for one in kinds.values())


def test_a_backend_without_a_plain_form_is_refused_in_a_sentence():
    done = CliRunner().invoke(main, ["--plain", "--backend", "sls"])
    assert done.exit_code == 2
    assert "--plain with --backend sls; expected one of lcnn, " in done.stderr


def test_a_network_is_of_the_form_and_computes_in_the_precision_that_it_says(monkeypatch):
    seen = []
    for plain in (False, True):
        network = Network("lcnn", (17, 33), 2, plain=plain, bfloat16=plain)
        assert type(network.build()) is (PLAIN if plain else BACKENDS)["lcnn"]
        monkeypatch.setattr(
            backends.nn.Linear, "forward", lambda self, x: seen.append(F.linear(x, self.weight)) or seen[-1]
        )
        network.step()(2)
        monkeypatch.undo()
    assert {output.dtype for output in seen[:3]} == {torch.float32}
    assert {output.dtype for output in seen[3:]} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("name", "count"),
    [("lcnn", 4_111_074), ("aasist_l", 85_306), ("layerwise_aasist", 447_314), ("lcnn_lstm", 269_729)],
)
def test_the_usual_features_give_the_published_parameter_counts(name, count):  # as in docs/systems.md
    network = networks(name, 8, "cpu")["forward"].build()
    assert sum(p.numel() for p in network.parameters()) == count


def test_every_backend_has_its_usual_features():
    assert set(FEATURES) == set(BACKENDS)


def test_sides_take_turns_after_a_step_each_and_the_ratio_is_taken_within_each_round(monkeypatch):
    calls = []

    class Side:
        def __init__(self, name):
            self.name, self.batch_size = name, 4

        def step(self):
            return lambda n: calls.append((self.name, n))

    times = iter([1.0, 1.0, 4.0, 2.0, 9.0, 10.0])

    def milliseconds(step, n):
        step(n)
        return next(times)

    monkeypatch.setattr(backends, "_milliseconds", milliseconds)
    found = in_turns(Side("ours"), Side("baseline"), rounds=3)
    assert calls == [("ours", 4), ("baseline", 4)] * 4
    assert found["ms"] == 4
    assert found["ratio"] == 1  # of 1, 2 and 0.9; the ratio of the medians would be 2
    assert found["baseline_rounds"] == [1, 2, 10]


def added_after_more():
    bytearray(b"x") * (300 * 2**20)
    return added_peak(lambda: bytearray(b"x") * (100 * 2**20))


def test_the_added_peak_counts_what_is_freed_again_and_forgets_what_came_before():
    # in a new process: this one may hold freed memory of other tests, which would be used again
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert 99 * 2**20 < pool.submit(added_after_more).result() < 120 * 2**20


def test_the_peak_of_a_step_is_that_of_its_tensors():
    one_map = 16 * 100 * 100 * 64 * 4  # B·N·N·D float32: product, projection, tanh, and a gradient on the way back
    assert 3 * one_map < peak_of(Pairs(100, plain=True)) < 6 * one_map


@pytest.mark.parametrize("nodes", [3, 80])
def test_both_forms_of_the_pairs_agree(nodes):
    assert 0 <= require_same(nodes, "cpu") < 1e-4


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_a_benchmark_fails_if_the_scores_of_its_forms_differ(monkeypatch, factor):
    ours = backends.pair_scores
    monkeypatch.setattr(backends, "pair_scores", lambda *inputs: factor * ours(*inputs))
    with pytest.raises(Sentence, match="3 nodes: the two forms differ by"):
        require_same(3, "cpu")


@pytest.mark.usefixtures("small")
def test_networks_with_a_recurrent_layer_are_not_compiled(monkeypatch):
    asked = []
    monkeypatch.setattr(backends.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", lambda model, fullgraph: asked.append((type(model), fullgraph)) or model)
    figures = measure_compiled(["lcnn_lstm", "pooled_linear"], 2, "cpu", 1)
    assert asked == [(BACKENDS["pooled_linear"], True)] * 2
    assert [len(kinds) for kinds in figures.values()] == [0, 2]
    assert compiled_table(figures).splitlines()[1].split() == ["lcnn_lstm", "recurrent:", "eager"]


@pytest.mark.usefixtures("small")
def test_without_a_compiler_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    printed, result = run(tmp_path, "--backend", "pooled_linear", "--compile")
    assert "no C++ compiler (no-such-compiler) found: nothing is compiled" in printed
    assert result["compiled"] == {}
