"""What would stop a training after minutes or hours, found before its run folder is made."""

import copy
from collections.abc import Mapping
from pathlib import Path

import torch

from spoofcache.common.files import free_bytes
from spoofcache.engine.about import RunError
from spoofcache.engine.config import ExperimentConfig, TrainConfig
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.processes import Processes, even_parts

CHECKPOINTS_BESIDE = 2
"""While `last.ckpt` is replaced, the former one is still there. `model.safetensors` is replaced later."""

COPIES = {"none": 0, "swa": 1, "ema": 1}
"""Copies of the weights that an average keeps in `last.ckpt`; `best` keeps `train.average_count` of them."""

OPTIMIZER_COPIES = {"sgd": 1}
"""Tensors of an optimizer's state for each weight; 2 for those that are not named, which are kinds of Adam."""


def require_shares(n_rows: int, settings: TrainConfig, processes: Processes) -> None:
    """RunError unless every process has a share of every part of every batch in an epoch of `n_rows` rows."""
    smallest = _smallest_part(n_rows, settings)
    if smallest < processes.count:
        limit = f" and parts of {settings.micro_batch}" if settings.micro_batch else ""
        raise RunError(
            f"{n_rows} utterances in batches of {settings.batch_size}{limit} leave {smallest} utterances for "
            f"{processes.count} processes at least once; expected one or more for each process, by another "
            "train.batch_size or train.micro_batch"
        )


def _smallest_part(n_rows: int, settings: TrainConfig) -> int:
    """The number of utterances in the smallest part of any batch in an epoch of `n_rows` rows."""
    batches = torch.arange(n_rows).split(settings.batch_size)
    parts = [part for batch in (batches[0], batches[-1]) for part in even_parts(batch, settings.micro_batch)]
    return min(map(len, parts))


def require_statistics(
    model: Countermeasure, shape: tuple[int, ...], n_rows: int, settings: TrainConfig, processes: Processes
) -> None:
    """RunError if an epoch has a batch of one utterance, and a batch norm of the network cannot learn from one.

    Batch norms over frames can; those over embeddings have a single value per channel then. A copy of the network is
    tried, so that neither its weights nor the random numbers of the training change.

    Args:
        model: the network before its first update.
        shape: shape of the features of one utterance.
        n_rows: number of rows in an epoch.
        settings: the sizes of batches and parts.
        processes: the processes that share each batch.
    """
    sharing = processes.count if settings.batch_norm == "per_process" else 1
    if _smallest_part(n_rows, settings) // sharing > 1:
        return
    trial = copy.deepcopy(model).cpu().train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(torch.zeros(1, *shape))
    except Exception as error:  # anything else that a back-end of the user's own raises is not what is looked for
        if "more than 1 value per channel" not in str(error):  # raised by torch's batch norms for one utterance
            return
        raise RunError(
            f"{n_rows} utterances in batches of {settings.batch_size} leave a batch of one utterance, of which this "
            "network's batch norms cannot take statistics; expected another train.batch_size or train.micro_batch"
        ) from error


def require_room(run: Path, model: Countermeasure, config: ExperimentConfig) -> None:
    """RunError if the disk has no room for the checkpoints of a training in the folder `run`.

    `last.ckpt` holds the weights, and of those that are trained the state of the optimizer and the average;
    `model.safetensors` holds the weights.
    """
    weights, trained = _n_bytes(model.state_dict()), _n_bytes(model.trained())
    copies = OPTIMIZER_COPIES.get(config.optimizer.name, 2)
    copies += COPIES.get(config.train.average, config.train.average_count)
    last = weights + copies * trained
    kept = weights * (1 if config.train.average == "none" else 2)
    needed = CHECKPOINTS_BESIDE * last + kept
    present = sum(path.stat().st_size for path in run.glob("*.*") if path.is_file()) if run.is_dir() else 0
    free = free_bytes(run)
    if needed > free + present:
        raise RunError(
            f"{run}: the checkpoints of this training need {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free "
            "there; expected more free space, or another --out"
        )


def _n_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors.values())
