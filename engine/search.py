"""Architecture search: cached features → genotype → an experiment that trains it from scratch.

First-order bi-level search after Liu et al., "DARTS", ICLR 2019, in the form of Ge et al., "Partially-connected
differentiable architecture search for deepfake and spoofing detection", Interspeech 2021 (public repository
eurecom-asp/pc-darts-anti-spoofing): updates of the network's weights on one half of the training set alternate with
updates of the architecture on the other half. The expected cost in the architecture's loss is ours.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from spoofcache.common.arguments import check_fields, checked
from spoofcache.common.machine import find_device
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import LAST, load_last, save_last
from spoofcache.engine.config import ClassWeights
from spoofcache.engine.run_folder import locked, make_folder, require_same_conditions, write_lines
from spoofcache.engine.search_data import Items, labels_of, split_in_halves
from spoofcache.features.dataset import CachedFeatures
from spoofcache.models.light_darts import LightDARTS
from spoofcache.models.light_darts_search import (
    Architecture,
    EdgeWeights,
    SuperNet,
    cost_tables,
    expected_cost,
    genotype_cost,
)

HISTORY = "search.jsonl"
CLASS_WEIGHTS = ClassWeights(bonafide=9.0, spoof=1.0)
LEAST = {"epochs": 1, "batch_size": 2, "seed": 0, "cost_weight": 0, "architecture_lr": 0}
"""Smallest value of a setting of SearchController."""

LRS = (1e-2, 1e-3)
"""The first and the last learning rate of the weights, which follows a cosine."""
WEIGHTS_DECAY, ARCHITECTURE_DECAY = 3e-4, 1e-3
STATE = {"history", "conditions", "supernet", "architecture", "optimizers"}
"""The entries of a search's `last.ckpt`."""


class SearchEpoch(NamedTuple):
    """A line of `search.jsonl`.

    Losses are means over batches; `architecture_loss` is None while the architecture is frozen. `expected_cost` is that
    of models.light_darts_search: 0 for the cheapest architecture of the space, 1 for the most expensive one.
    """

    epoch: int
    lr: float
    train_loss: float
    architecture_loss: float | None
    expected_cost: float
    seconds: float


class SearchResult(NamedTuple):
    """The result of a search, and its history.

    Attributes:
        genotype: the setting `genotype` of models.light_darts.LightDARTS.
        expected_cost: the expected cost after the last epoch, from 0 to 1.
        multiply_adds: number of multiply-adds per utterance in the chosen operations. The stem and the 1×1 convolutions
            before each cell are not counted, since they are the same in every architecture.
        parameters: number of parameters of the whole derived network.
        history: the epochs of the search.
    """

    genotype: dict[str, list[list[Any]]]
    expected_cost: float
    multiply_adds: int
    parameters: int
    history: list[SearchEpoch]


@dataclass(frozen=True)
class SearchController:
    """The settings of a search; `train_search` runs it.

    Args:
        search_space: `light` (max-feature-maps, our reading of Light-DARTS) or `pc` (PC-DARTS).
        num_cells: number of cells, both of the network that is trained in the search and of the derived network.
        cost_weight: weight of the expected cost, which lies between 0 and 1, in the architecture's loss. The
            cross-entropy has the weight 1.
        channels: number of channels of the first cells; must be even.
        epochs: number of passes over both halves of the training set.
        batch_size: number of utterances that an update takes from its half.
        seed: random seed of the split into halves, the initial weights and the order of the utterances.
        frozen: fraction of the epochs, from the first on, in which the architecture is not updated.
        architecture_lr: learning rate of the architecture's Adam optimizer.
        device: where the network computes.

    Raises:
        RunError: a setting is out of its range.
        ArgumentError: a setting has the wrong type.
        DeviceError: there is no such device here.
    """

    search_space: str = "light"
    num_cells: int = 8
    cost_weight: float = 0.5
    channels: int = 16
    epochs: int = 50
    batch_size: int = 64
    seed: int = 0
    frozen: float = 0.2
    architecture_lr: float = 6e-4
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "device", find_device(str(self.device), "a search with device"))
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise RunError(f"a search with {name} {value}; expected at least {least}")
        if not 0 <= self.frozen < 1:
            raise RunError(f"a search with frozen {self.frozen}; expected 0 ≤ frozen < 1")

    @checked
    def train_search(
        self,
        dataset: Items,
        folder: Path | str | None = None,
        *,
        resume: bool = False,
        advance: Callable[[int], None] = lambda n: None,
        on_epoch: Callable[[SearchEpoch], None] = lambda epoch: None,
    ) -> SearchResult:
        """Search on a training set.

        Args:
            dataset: items (features [T, D], class index); a name may follow, as in `CachedFeatures`.
            folder: search folder, in which `last.ckpt` and `search.jsonl` are saved after each epoch. If omitted,
                nothing is written.
            resume: continue after the last finished epoch in the folder. The result is that of an uninterrupted search.
            advance: called with the number of utterances that have gone through the network since the last call.
            on_epoch: called with every finished epoch.

        Raises:
            RunError: the folder exists (without `resume`), or belongs to another search or process; a class has fewer
                than two utterances; the network does not take the features or a size; a loss is not a finite number.
        """
        folder = None if folder is None else Path(folder)
        search = _Search(self, dataset)
        with _opened(folder, resume) if folder else nullcontext():
            if folder:
                search.restore(folder)
            advance(len(search.history) * search.n_utterances)
            for epoch in range(len(search.history), self.epochs):
                search.run_epoch(epoch, advance)
                if folder:
                    search.save(folder)
                on_epoch(search.history[-1])
        return search.result()


@contextmanager
def _opened(folder: Path, resume: bool) -> Iterator[None]:
    """The folder of a search, created if need be and locked for this process."""
    make_folder(folder, resume, LAST, "a search")
    with locked(folder):
        yield


class _Search:
    """The network, the architecture, their optimizers and the finished epochs of a search."""

    def __init__(self, controller: SearchController, dataset: Items) -> None:
        self._controller, self._dataset = controller, dataset
        labels = labels_of(dataset)
        self._halves = split_in_halves(labels, controller.seed)
        self._conditions = _conditions(controller, dataset, labels)
        self.n_utterances = len(labels)
        shape = tuple(torch.as_tensor(dataset[0][0]).shape)
        torch.manual_seed(controller.seed)
        size = controller.search_space, controller.channels, controller.num_cells
        try:
            self._supernet = SuperNet(shape, *size).to(device=controller.device)
        except ValueError as error:
            raise RunError(str(error)) from error
        self._architecture = Architecture().to(controller.device)
        self._shape = shape
        self._tables = {kind: table.to(controller.device) for kind, table in cost_tables(shape, *size).items()}
        self._class_weights = torch.tensor(CLASS_WEIGHTS.by_index()).to(controller.device)
        self._optimizers = {
            "supernet": torch.optim.Adam(self._supernet.parameters(), LRS[0], weight_decay=WEIGHTS_DECAY),
            "architecture": torch.optim.Adam(
                self._architecture.parameters(),
                controller.architecture_lr,
                (0.5, 0.999),
                weight_decay=ARCHITECTURE_DECAY,
            ),
        }
        self.history: list[SearchEpoch] = []

    def run_epoch(self, epoch: int, advance: Callable[[int], None]) -> None:
        """Pass once over both halves. Each step updates the architecture, unless it is frozen, and then the weights."""
        start, epochs = time.perf_counter(), self._controller.epochs
        lr = LRS[1] + (LRS[0] - LRS[1]) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        self._optimizers["supernet"].param_groups[0]["lr"] = lr
        frozen = epoch < int(self._controller.frozen * epochs)
        losses: dict[str, list[float]] = {"architecture": [], "weights": []}
        self._supernet.train()
        for step, (first, second) in enumerate(self._batches(epoch)):
            if not frozen:
                losses["architecture"].append(self._architecture_step(second))
            losses["weights"].append(self._weights_step(first))
            for name, values in losses.items():
                if values and not math.isfinite(values[-1]):
                    raise RunError(
                        f"epoch {epoch}, step {step}: the loss of the {name} is {values[-1]}; expected a number"
                    )
            advance(len(first) + len(second))
        architecture_loss, train_loss = (float(np.mean(values)) if values else None for values in losses.values())
        assert train_loss is not None  # every epoch has at least one step
        cost = float(expected_cost(self._architecture(), self._tables).detach())
        self.history.append(SearchEpoch(epoch, lr, train_loss, architecture_loss, cost, time.perf_counter() - start))

    def _batches(self, epoch: int) -> Iterator[tuple[list[int], list[int]]]:
        """The utterances of each step: those for the weights, and those for the architecture.

        Their order depends on the seed and the epoch alone. No batch is smaller than `batch_size`, unless the whole
        half is, because batch norms need several utterances.
        """
        random = np.random.default_rng([self._controller.seed, epoch])
        steps = max(1, min(map(len, self._halves)) // self._controller.batch_size)
        first, second = (np.array_split(random.permutation(half), steps) for half in self._halves)
        for for_weights, for_architecture in zip(first, second, strict=True):
            yield for_weights.tolist(), for_architecture.tolist()

    def _architecture_step(self, utterances: list[int]) -> float:
        """Update the architecture once; returns its cross-entropy, without the cost."""
        shares = self._architecture()
        loss = self._cross_entropy(utterances, shares)
        cost = expected_cost(shares, self._tables)
        self._update("architecture", loss + self._controller.cost_weight * cost)
        return loss.item()

    def _weights_step(self, utterances: list[int]) -> float:
        """Update the network's weights once; returns their cross-entropy."""
        with torch.no_grad():
            shares = self._architecture()
        loss = self._cross_entropy(utterances, shares)
        self._update("supernet", loss)
        return loss.item()

    def _cross_entropy(self, utterances: list[int], shares: Mapping[str, EdgeWeights]) -> torch.Tensor:
        items = [self._dataset[index] for index in utterances]
        features = torch.stack([torch.as_tensor(item[0]) for item in items])
        labels = torch.tensor([int(item[1]) for item in items])
        device = self._controller.device
        logits = self._supernet(features.to(device).float(), shares).logits
        return F.cross_entropy(logits, labels.to(device), self._class_weights)

    def _update(self, name: str, loss: torch.Tensor) -> None:
        """Take a step of one optimizer. Only the gradients of its own parameters are computed."""
        optimizer = self._optimizers[name]
        parameters = optimizer.param_groups[0]["params"]
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()

    def result(self) -> SearchResult:
        """The result of a finished search."""
        genotype = self._architecture.genotype()
        controller = self._controller
        derived = LightDARTS(self._shape, genotype, controller.search_space, controller.channels, controller.num_cells)
        parameters = sum(parameter.numel() for parameter in derived.parameters())
        cost = genotype_cost(genotype, self._tables)
        return SearchResult(genotype, self.history[-1].expected_cost, cost, parameters, self.history)

    def save(self, folder: Path) -> None:
        """Save the state after an epoch. `search.jsonl` is written anew from the history in `last.ckpt`."""
        state = {
            "history": [list(line) for line in self.history],
            "conditions": self._conditions,
            "supernet": self._supernet.state_dict(),
            "architecture": self._architecture.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
        }
        save_last(folder, state)
        write_lines(folder / HISTORY, (line._asdict() for line in self.history))

    def restore(self, folder: Path) -> None:
        """Continue after the last finished epoch in the folder, if there is one."""
        state = load_last(folder, STATE, "the checkpoint of a search")
        if state is None:
            return
        require_same_conditions(folder, state["conditions"], self._conditions)
        self._supernet.load_state_dict(state["supernet"])
        self._architecture.load_state_dict(state["architecture"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.history = [SearchEpoch(*line) for line in state["history"]]
        # the last line is missing if the process was killed between its two files
        write_lines(folder / HISTORY, (line._asdict() for line in self.history))


def _conditions(controller: SearchController, dataset: Items, labels: NDArray[np.int64]) -> dict[str, Any]:
    """The settings and data that a resumed search must share with its beginning."""
    settings = {name: value for name, value in asdict(controller).items() if name != "device"}
    data = hashlib.sha256(labels.tobytes()).hexdigest()
    if not isinstance(dataset, CachedFeatures):
        return {**settings, "train cache": data}
    data = f"{dataset.plan.identity.digest} {dataset.plan.trial_list_sha256} {data}"
    return {**settings, "train cache": data, "content of the train cache": dataset.content_digest}
