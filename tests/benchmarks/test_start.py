"""The benchmarks start on a machine that has torch, transformers and h5py, and few of the other libraries.

Such is a GPU that is lent. The libraries are hidden from fresh processes, those that they start included.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
AUDIO = ("av", "soundfile", "soxr")
pytestmark = pytest.mark.slow  # every test starts processes that import torch anew
HIDDEN = (
    *("librosa", "tomli_w", "scipy", "sklearn", "matplotlib", "tensorboard", "accelerate"),
    *("audiomentations", "pyroomacoustics", "pyworld", "espeakng_loader"),
)
AT_START = """
import os, sys
sys.modules.update(dict.fromkeys({hidden!r}))
class Watch:
    def find_spec(name, path=None, target=None):
        if name == "torch" and "GOMP_SPINCOUNT" not in os.environ:
            sys.exit("torch is imported before cli")
sys.meta_path.insert(0, Watch)
"""


def start(folder, script, options, hidden):
    """Run a benchmark where these modules are not installed."""
    (folder / "sitecustomize.py").write_text(AT_START.format(hidden=hidden))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_WAIT"))}
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *options.split()],
        env=inherited | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


TINY = {
    "extraction.py": "--layers 1 --batch-size 1 --samples 400 --rounds 1 --precision float32 --device cpu",
    "training.py": "--part training --rows 2 --batch-size 2 --steps 1 --rounds 1 --eager --device cpu",
    "backends.py": "--plain --backend cnn --batch-size 2 --rounds 1",
    "read_cache.py": "--rows 2 --items 2 --rounds 1",
    "half_precision.py": "--help",
    "gpu_check.py": "--help",
}


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("extraction.py", "float32 ours"),
        ("training.py", "from the cache"),
        ("backends.py", "cnn"),
        ("read_cache.py", "Feed in batches"),
        ("half_precision.py", "Usage"),
        ("gpu_check.py", "Usage"),
    ],
)
def test_it_runs_where_only_the_repository_exists(tmp_path, script, line):
    done = start(tmp_path, script, TINY[script], AUDIO + HIDDEN)
    assert done.returncode == 0, done.stderr
    assert line in done.stdout


def test_the_pipeline_needs_the_audio_libraries_alone(tmp_path):
    options = f"--limit 1 --rounds 1 --device cpu --folder {tmp_path}"
    done = start(tmp_path, "pipeline.py", options, HIDDEN)
    assert done.returncode == 0, done.stderr
    assert "whole / slowest stage" in done.stdout


def test_the_pipeline_says_which_of_them_it_lacks(tmp_path):
    done = start(tmp_path, "pipeline.py", "--help", ("av", "soxr"))
    assert done.returncode == 1
    assert done.stderr.startswith("not installed: av soxr; where no registry can be reached")
    assert "find-links wheels av soxr`" in done.stderr
    assert "soundfile" not in done.stderr
