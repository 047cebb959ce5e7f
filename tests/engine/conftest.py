import pytest

from spoofcache.engine.config_file import load_config
from spoofcache.features.dataset import CachedFeatures
from tests.corpora import make_trials, separable_rows, write_cache

CONFIG = """
[backend]
name = "pooled_linear"

[loss]
class_weights = { bonafide = 2, spoof = 1 }

[optimizer]
lr = 1e-2

[train]
epochs = 4
batch_size = 8
seed = 1
"""

LCNN = ("backend.name=lcnn", "backend.settings.dropout=0.3", "optimizer.lr=1e-3")
"""Overrides for what a linear network lacks: dropout, batch norms, random weights. An epoch takes a second or more."""


@pytest.fixture
def experiment(tmp_path):
    """`experiment("train.epochs=2")`: a small experiment with overrides."""
    path = tmp_path / "experiment.toml"
    path.write_text(CONFIG)
    return lambda *overrides: load_config(path, overrides)


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """Train and dev caches of features that a back-end can tell apart."""
    root = tmp_path_factory.mktemp("caches")
    pairs = []
    for seed, (name, n) in enumerate({"train": 48, "dev": 30}.items()):
        trials = make_trials(n, name)
        pairs.append(CachedFeatures(write_cache(root / name, trials, separable_rows(trials, seed=seed))))
    return tuple(pairs)
