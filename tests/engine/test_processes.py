"""Two processes against one: what torchrun starts is in shared_training.py, and twice in the command itself."""

import os
import subprocess
import sys
from datetime import timedelta
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spoofcache.engine import processes as room
from spoofcache.engine.about import RunError
from spoofcache.engine.batch_norm import over_all_processes
from spoofcache.engine.checkpoint import load_last, load_model
from spoofcache.engine.compiling import obstacle
from spoofcache.engine.config_file import load_config
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.processes import Processes, even_parts, join_processes, report_error_once
from spoofcache.engine.sampling import seed_epoch
from spoofcache.engine.score import score_partition
from spoofcache.engine.train import FitOptions, fit
from spoofcache.features.dataset import CachedFeatures
from spoofcache.models import BACKENDS
from tests.corpora import make_trials, separable_rows, write_cache
from tests.engine import shared_training
from tests.engine.shared_training import CONFIG, CPU, FIRST, NORMS, TRAININGS, norm_case, through, train
from tests.threads import one_thread  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*command, module=False):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", 2, "--standalone", *["-m"] * module)
    return subprocess.run(
        [sys.executable, *map(str, (*launcher, *command))],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config, 27 training utterances and 21 dev utterances."""
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "config.toml").write_text(CONFIG)
    for seed, (name, n) in enumerate({"train": 27, "dev": 21}.items()):
        trials = make_trials(n, name)
        write_cache(folder / name, trials, separable_rows(trials, seed=seed))
    return folder


@pytest.fixture(scope="module")
def by_two(folder, tmp_path_factory):
    """The run folders of two processes, and what each of them found."""
    out = tmp_path_factory.mktemp("two")
    done = torchrun("tests.engine.shared_training", folder, out, module=True)
    assert done.returncode == 0, done.stderr
    return out, [torch.load(out / f"found{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture
def double(monkeypatch):
    """Training in float64."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.float)  # to be put back
    shared_training.in_double()
    yield
    torch.set_default_dtype(torch.float32)


def assert_close(one, other, tolerance=1e-9):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def dev_scores(folder, run, which):
    return score_partition(load_model(run, which)[0], CachedFeatures(folder / "dev"), 8, CPU).scores


@pytest.mark.usefixtures("double", "one_thread")
@pytest.mark.parametrize("name", ["lcnn", "res2net"])
def test_two_processes_train_like_one_on_the_same_batches(by_two, folder, tmp_path, name):
    out, _ = by_two
    best = train(folder, name, tmp_path / name)
    states = [load_last(run / name) for run in (out, tmp_path)]
    assert {each.dtype for each in states[0]["model"].values()} == {torch.float64, torch.int64}  # it counts batches
    assert_close(*(state["model"] for state in states))
    for which in ("last", "average") if "train.average=swa" in TRAININGS[name] else ("last",):
        scores = [dev_scores(folder, run / name, which) for run in (out, tmp_path)]
        np.testing.assert_allclose(*scores, rtol=0, atol=1e-9)
    assert states[0]["best"][:-1] == pytest.approx(best[:-1], abs=1e-9)


def test_both_processes_find_the_same_best_epoch(by_two):
    _, (first, second) = by_two
    for name in TRAININGS:
        assert first[f"best of {name}"] == second[f"best of {name}"]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", NORMS)
def test_a_batch_norm_over_two_processes_is_that_of_the_whole_batch(by_two, name):
    expected, expected_gradients = through(*norm_case(name))
    (first, gradients), (second, other_gradients) = (found[name] for found in by_two[1])
    for part, own in ((first, slice(FIRST)), (second, slice(FIRST, None))):
        for what in ("y", "x", "eval"):
            torch.testing.assert_close(part[what], expected[what][own], rtol=0, atol=1e-9)
        assert_close(part["state"], expected["state"])
    assert_close({name: gradients[name] + other_gradients[name] for name in gradients}, expected_gradients)


@pytest.mark.usefixtures("double", "one_thread")
def test_batch_norms_of_each_process_alone_are_another_training(by_two, folder, tmp_path):
    per_process, shared = (load_last(by_two[0] / name)["model"] for name in ("per_process", "lcnn"))
    difference = (per_process["conv2.2.running_var"] - shared["conv2.2.running_var"]).abs().max()
    assert difference > 1e-4


def test_two_processes_resume_bit_for_bit(by_two):
    whole, resumed = (load_last(by_two[0] / name) for name in ("dropout", "resumed"))
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, resumed["model"][name]), name
    assert (by_two[0] / "dropout/average.json").read_text() == (by_two[0] / "resumed/average.json").read_text()


@pytest.mark.usefixtures("double")
def test_another_number_of_processes_does_not_resume_a_run(by_two, folder):
    with pytest.raises(RunError, match="begun with another number of processes; --resume expects the same"):
        train(folder, "dropout", by_two[0] / "dropout", resume=True)


def test_the_command_trains_on_two_processes_and_only_one_of_them_prints(folder, tmp_path):
    overrides = ("backend.name=lcnn", "backend.settings.dropout=0", "train.epochs=1")
    data = ("--config", folder / "config.toml", "--train", folder / "train", "--dev", folder / "dev")
    sets = [option for override in overrides for option in ("--set", override)]
    command = ("main_train.py", *data, "--out", tmp_path / "two", "--device", "cpu", *sets)
    done = torchrun(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best epoch 0") == done.stderr.count("epoch 0: train loss") == 1
    assert load_last(tmp_path / "two")["conditions"]["number of processes"] == "2"
    assert len(list((tmp_path / "two").glob("events.*"))) == 1
    caches = (CachedFeatures(folder / part) for part in ("train", "dev"))
    fit(load_config(folder / "config.toml", overrides), *caches, tmp_path / "one")
    scores = [dev_scores(folder, tmp_path / name, "best") for name in ("one", "two")]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-3)

    again = torchrun(*command)
    assert again.returncode != 0
    assert again.stderr.count(f"Error: {tmp_path / 'two'} exists; expected a new folder, or --resume") == 1
    assert again.stderr.count("Traceback") <= 1  # the launcher's own


@given(st.integers(1, 5), st.integers(0, 9), st.integers(1, 40))
def test_shares_are_even_and_make_the_parts_of_the_whole_batch(count, most, size):
    rows = list(range(100, 100 + size))
    everyone = [Processes(rank=rank, count=count) for rank in range(count)]
    shares = [each.own_of_parts(rows, most) for each in everyone]
    assert sorted(chain.from_iterable(shares)) == rows
    parts = even_parts(torch.tensor(rows), most)
    own_parts = [even_parts(torch.tensor(share), most, size) for share in shares]
    for k, part in enumerate(parts):
        pieces = [own[k] for own in own_parts]
        assert torch.cat(pieces).tolist() == part.tolist()
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ("train.batch_size=13",),
            "27 utterances in batches of 13 leave 1 utterances for 2 processes .*; expected one or more",
        ),
        (("train.micro_batch=1",), "batches of 8 and parts of 1 leave 1 utterances for 2 processes"),
    ],
)
def test_a_process_without_a_share_is_refused_before_the_run_begins(folder, tmp_path, overrides, sentence):
    config = load_config(folder / "config.toml", ("backend.name=pooled_linear", *overrides))
    caches = (CachedFeatures(folder / part) for part in ("train", "dev"))
    with pytest.raises(RunError, match=sentence):
        fit(config, *caches, tmp_path / "run", FitOptions(processes=Processes(count=2)))
    assert not (tmp_path / "run").exists()


def test_a_single_process_does_not_import_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # importing it would fail
    assert join_processes(CPU) == Processes(CPU)
    values = torch.ones(2)
    assert Processes().total(values) is values


def test_on_gpus_batch_norms_become_sync_batch_norms_with_the_same_names():
    model = BACKENDS["res2net"]((32, 20))
    names = list(model.state_dict())
    over_all_processes(model, torch.device("cuda"))
    kinds = {type(each) for each in model.modules() if isinstance(each, _BatchNorm)}
    assert (list(model.state_dict()), kinds) == (names, {nn.SyncBatchNorm})


def test_a_network_with_batch_norms_over_all_processes_is_not_compiled():
    model = Countermeasure(BACKENDS["lcnn"]((32, 20)), nn.Identity())
    over_all_processes(model, CPU)
    assert obstacle(model, CPU) == "its batch norms exchange statistics between processes (train.batch_norm is global)"


def test_every_process_draws_its_own_dropout():
    draws = []
    for seed in ((1, 2), (1, 2, 1), (1, 2, 2), (1, 3), (2, 2)):
        seed_epoch(*seed)
        draws.append(float(torch.rand(1)))
    assert len(set(draws)) == 5


@pytest.fixture
def two_of(monkeypatch):
    """`two_of(rank)`: the environment that a launcher of two processes sets for that one."""

    def set_for(rank):
        for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}.items():
            monkeypatch.setenv(name, str(value))

    return set_for


def test_each_process_takes_a_gpu_of_its_own(two_of, monkeypatch):
    two_of(0)
    with pytest.raises(RunError, match=r"--device cuda:1 for 2 processes; expected cuda .each takes a GPU of its own."):
        join_processes(torch.device("cuda:1"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        RunError, match="2 processes on a machine with 1 CUDA devices; expected at most one process per"
    ):
        join_processes(torch.device("cuda"))


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_processes_wait_longer_for_each_other_than_compiling_takes(two_of, monkeypatch, name):
    two_of(1)
    joined = SimpleNamespace(device=torch.device("cuda:1"), process_index=1, num_processes=2)
    asked = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("accelerate.PartialState", lambda **options: asked.update(options) or joined)
    assert join_processes(torch.device(name)).rank == 1
    assert asked == {"cpu": name == "cpu", "timeout": timedelta(hours=1)}


@pytest.mark.parametrize(
    ("rank", "error", "at_once"),
    [(0, RunError("ours"), True), (1, RunError("ours"), False), (0, RuntimeError("connection closed"), False)],
)
def test_other_processes_wait_to_be_ended_before_they_report_an_error(two_of, monkeypatch, rank, error, at_once):
    two_of(rank)
    waits = []
    monkeypatch.setattr(room.time, "sleep", waits.append)
    with pytest.raises(type(error)), report_error_once():
        raise error
    assert (not waits) == at_once


@pytest.mark.parametrize(("rank", "leaves_with"), [(0, KeyboardInterrupt), (1, SystemExit)])
def test_an_interrupt_ends_all_processes_and_the_main_one_reports_it(two_of, rank, leaves_with):
    two_of(rank)
    with pytest.raises(leaves_with), report_error_once():
        raise KeyboardInterrupt
