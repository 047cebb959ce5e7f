"""Writes the result of an architecture search as `genotype.toml`, an experiment that main_train.py runs."""

import re
from pathlib import Path

from spoofcache.common.files import atomic_path
from spoofcache.engine.config import (
    BackendConfig,
    ExperimentConfig,
    LossConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from spoofcache.engine.search import CLASS_WEIGHTS, WEIGHTS_DECAY, SearchController, SearchResult
from spoofcache.features.dataset import CachedFeatures

GENOTYPE = "genotype.toml"


def write_experiment(folder: Path, controller: SearchController, result: SearchResult, train: CachedFeatures) -> Path:
    """Write `genotype.toml`, the experiment that trains the derived network from scratch, and return its path.

    The recipe is that of eurecom-asp/pc-darts-anti-spoofing without its drop-path, whose rate grows with the epochs.
    """
    front_end = train.plan.identity.settings["front_end"]
    settings = {
        "space": controller.search_space,
        "channels": controller.channels,
        "layers": controller.num_cells,
        "genotype": result.genotype,
    }
    experiment = ExperimentConfig(
        backend=BackendConfig("light_darts", settings),
        loss=LossConfig("cross_entropy", CLASS_WEIGHTS),
        optimizer=OptimizerConfig(lr=1e-3, weight_decay=WEIGHTS_DECAY),
        schedule=ScheduleConfig("cosine_per_epoch", epochs=100, lr_min=1e-4),
        train=TrainConfig(epochs=100, batch_size=128, seed=controller.seed),
        features={"front_end": {name: front_end[name] for name in ("name", "layers") if name in front_end}},
    )
    pair = re.compile(r"\[\s+(\"\w+\"),\s+(\d+),\s+\]")
    path = folder / GENOTYPE
    with atomic_path(path) as temporary:
        text = _header(path, controller, result, train) + pair.sub(r"[\1, \2]", experiment.to_toml())
        temporary.write_text(text, encoding="utf-8")
    return path


def _header(path: Path, controller: SearchController, result: SearchResult, train: CachedFeatures) -> str:
    space = "our reading of Light-DARTS" if controller.search_space == "light" else "PC-DARTS"
    return f"""\
# {controller.num_cells} cells of {controller.channels} channels, {space}, found by main_search.py on {train.folder}
# in {controller.epochs} epochs with cost weight {controller.cost_weight:g} and seed {controller.seed}.
#
# python main_train.py --config {path} --train {train.folder} --dev … --out runs/…
#
# {result.parameters:,} parameters; {result.multiply_adds:,} multiply-adds per utterance in the operations found.
# Expected cost at the end: {result.expected_cost:.4f}, where 0 is the cheapest architecture and 1 the most expensive.

"""
