"""Every command works from a folder full of the user's own packages, of an installation and of a clone.

Slow: `.ci/run` runs them, `make test` does not.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from spoofcache.__main__ import COMMANDS
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.models import BACKENDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
N_TRAIN, N_OTHER, LENGTH = 1200, 24, 4000
"""Utterances, of which the first number is one from which on processes decode, and their samples."""
TAKEN = ("features", "models", "metrics", "engine", "common", "protocols", "tools", "configs", "evaluation")
"""Packages that the user has too."""
SHADOWS = ("numpy", "torch", "click", "h5py", "random", "evaluate", "preprocess")
"""Modules that the user has too."""
PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from spoofcache.features.augment.base import Effect


@dataclass(frozen=True)
class Louder(Effect):
    name: ClassVar[str] = "louder"
    factor: float = 2.0

    def apply(self, waveform, rng):
        return self.factor * waveform
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The files of this clone that belong to it, in a folder of their own: a build writes beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    folder = tmp_path_factory.mktemp("source") / "clone"
    for name in filter(None, listed.split("\0")):
        if os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The wheel that `pip install .` would install."""
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", out, source], cwd=out, check=True)
    (path,) = out.glob("spoofcache-*.whl")
    return path


def new_environment(folder):
    """A virtual environment with the libraries of this one, but without SpoofCache; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    # a folder that is named so is searched, but what .pth files in it say (an editable install) is not followed
    (Path(own) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The user's folder: packages and modules of names that we have too, and recordings."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in TAKEN:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a package of the user was imported')\n")
    for name in SHADOWS:
        (folder / f"{name}.py").write_text("raise RuntimeError('a module of the user was imported')\n")
    (folder / "lib").mkdir()
    for module in ("lib/effects_on_path", "effects_of_this_folder"):
        (folder / f"{module}.py").write_text(PLUGIN)
    rng = np.random.default_rng(0)
    for partition, number in (("train", N_TRAIN), ("dev", N_OTHER), ("eval", N_OTHER)):
        for key in ("bonafide", "spoof"):
            (folder / "audio" / partition / key).mkdir(parents=True)
            for k in range(number // 2):
                waveform = (0.02 if key == "spoof" else 0.2) * rng.standard_normal(LENGTH)
                soundfile.write(folder / "audio" / partition / key / f"{partition}-{key}-{k:04d}.wav", waveform, 16_000)
    torch.save(BACKENDS["pooled_linear"](shape_of_features()).state_dict(), folder / "published.pth")
    return folder


def shape_of_features():
    return make_frontend("lfcc", FrontEndOptions()).row_shape(LENGTH)


class Edition:
    """SpoofCache as some user has it: how a command is started, from the user's folder.

    Args:
        folder: the user's folder.
        where: where what the commands write goes.
        start: the name of a command → what starts it, and the PYTHONPATH that it is started with, '' for none.
        effect: an effect of the user's own that this edition can import.
    """

    def __init__(self, folder, where, start, effect):
        self.where, self.effect = where, effect
        self._folder, self._start = folder, start
        self._inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def __call__(self, name, *options):
        """Run a command to its good end; the lines on its standard output."""
        started, path = self._start(name)
        command = [*started, *map(str, options)]
        environment = {**self._inherited, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": path} if path else {})}
        done = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()


@pytest.fixture(scope="module", params=["installed", "clone"])
def edition(request, source, wheel, elsewhere, tmp_path_factory):
    python = new_environment(tmp_path_factory.mktemp("environment") / "venv")
    where = elsewhere / request.param
    if request.param == "installed":
        options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
        subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, wheel], check=True)
        command, lib = python.with_name("spoofcache"), str(elsewhere / "lib")
        return Edition(elsewhere, where, lambda name: ([command, name], lib), "effects_on_path:Louder")

    def start(name):
        """The scripts at the top of a clone find the package themselves; those in tools/ need to be shown it."""
        script = COMMANDS[name].script
        return [python, source / script], str(source) if script.startswith("tools/") else ""

    return Edition(elsewhere, where, start, "effects_of_this_folder:Louder")


@pytest.fixture(scope="module")
def caches(edition):
    """The cached partitions by name; those of `train` are its clean view and one by an effect of the user's."""
    common = ("--corpus", "folders", "--frontend", "lfcc", "--length", LENGTH, "--out", edition.where / "cache")
    made = {}
    for partition in ("train", "dev", "eval"):
        views = ("--augment", f"{edition.effect}:3") if partition == "train" else ()
        lines = edition("preprocess", *common, "--root", f"audio/{partition}", "--partition", partition, *views)
        made[partition] = [Path(line) for line in lines]
    return made


@pytest.fixture(scope="module")
def run_folder(edition, caches):
    """A run folder of a training on them."""
    out = edition.where / "runs" / "lcnn"
    options = ("--set", "train.epochs=1", "--set", "train.batch_size=200", "--device", "cpu")
    data = ("--train", caches["train"][0], "--dev", caches["dev"][0])
    edition("train", "--config", "lfcc_lcnn", *data, "--out", out, *options)
    return out


@pytest.fixture(scope="module")
def scores(edition, caches, run_folder):
    """The score file of the evaluation partition."""
    out = edition.where / "scores" / "lcnn.txt"
    edition("score", "--run", run_folder, "--features", caches["eval"][0], "--out", out, "--device", "cpu")
    return out


def test_the_wheel_holds_the_package_and_its_experiments_alone(wheel, source):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"spoofcache"}
    inside = {name.split("/")[1] for name in names if name.startswith("spoofcache/")}
    assert not inside & {"tests", "benchmarks", "docs"}
    configs = {path.relative_to(source).as_posix() for path in (source / "configs").rglob("*.toml")}
    assert {f"spoofcache/{name}" for name in configs} <= set(names)
    modules = {f"spoofcache/{p.relative_to(source)}" for room in TAKEN for p in (source / room).rglob("*.py")}
    assert modules <= set(names)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(edition, name):
    assert edition(name, "--help")[0].startswith("Usage:")


def test_preprocess_finishes_every_shard(caches):
    assert [len(folders) for folders in caches.values()] == [2, 1, 1]
    for folder in (folder for folders in caches.values() for folder in folders):
        assert (folder / "manifest.json").is_file()
    assert len(list(caches["train"][0].glob("shard-*.h5"))) == 3


@pytest.mark.parametrize("command", [("verify",), ("preprocess", "--verify", "--out")], ids=" ".join)
def test_verify(command, edition, caches):
    lines = edition(*command, edition.where / "cache")
    assert sorted(lines) == sorted(f"{f}: as written" for folders in caches.values() for f in folders)


def test_detect(edition, run_folder):
    lines = edition("detect", "--run", run_folder, "audio/eval", "--device", "cpu")
    assert len(lines) == N_OTHER


def test_evaluate(edition, scores):
    report = edition.where / "report.html"
    edition("evaluate", f"lcnn={scores}", "--html", report, "--bootstrap", 20)
    assert "lcnn" in report.read_text()


def test_evaluate_runs_on_cached_partitions(edition, caches, run_folder):
    lines = edition("evaluate", "--run", run_folder, "--test", f"own={caches['eval'][0]}", "--bootstrap", 0)
    assert any("own" in line for line in lines)


def test_evaluate_2019_with_pictures(edition, scores):
    lines = edition("evaluate-2019", "--cm-scores", scores, "--plots", edition.where / "plots")
    assert any("EER" in line for line in lines)
    assert len(list((edition.where / "plots").glob("*.png"))) == 2


def test_search(edition, caches):
    small = ("--cells", 2, "--channels", 2, "--epochs", 1, "--device", "cpu")
    lines = edition("search", "--train", caches["dev"][0], "--out", edition.where / "search", *small)
    assert Path(lines[-1]).is_file()


def test_convert_scores(edition, scores):
    out = edition.where / "scores" / "lcnn.tsv"
    edition("convert-scores", scores, "--to", "asvspoof5", "--out", out)
    assert len(out.read_text().splitlines()) == N_OTHER + 1


def test_prepare_corpus_in_several_processes(edition):
    out = edition.where / "protocols"
    options = ("--analyze", "--split", "6:1:3", "--group", "none", "--workers", 2, "--out", out)
    edition("prepare-corpus", "audio/train", *options, "--picture", edition.where / "survey.png")
    assert sorted(path.name for path in out.iterdir()) == ["dev.csv", "test.csv", "train.csv"]


def test_import_checkpoint(edition, caches):
    out = edition.where / "runs" / "published"
    edition("import-checkpoint", "--backend", "pooled_linear", "--in", "published.pth", "--out", out,
            "--features", caches["eval"][0])  # fmt: skip
    assert (out / "model.json").is_file()
