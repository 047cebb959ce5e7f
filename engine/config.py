"""Every key of an experiment: its type, its default, its limits and what it does. `config_file` reads the TOML file.

The `help` text in the metadata of each field is what the configuration reference prints. A limit in the metadata
(`at_least`, `at_most`, `above`, `below`) holds for the number, or for each number of a list.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, get_args

from spoofcache.protocols.trial import CLASS_INDEX


def _key(default: Any, text: str, **limits: float) -> Any:
    """A key with a default."""
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True)
class BackendConfig:
    """The network that is trained on the cached features."""

    name: str = field(
        metadata={
            "help": "Back-end to train: a name from the registry `spoofcache.models.BACKENDS`, or a class of your own "
            "as `package.module:Name`."
        }
    )
    settings: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Arguments of the back-end's constructor beside the feature shape. Each back-end has its own."
        },
    )


@dataclass(frozen=True)
class ClassWeights:
    """Weight of each class in the loss.

    The weights are given by name because published systems disagree on the order of the classes: weights copied by
    position from a system in which bona fide is class 0 would be swapped.
    """

    bonafide: float = _key(1.0, "Weight of bona fide utterances in the loss.", above=0)
    spoof: float = _key(1.0, "Weight of spoofed utterances in the loss.", above=0)

    def by_index(self) -> list[float]:
        """The two weights in the order of the class index: spoof, bona fide."""
        return [getattr(self, key) for key in sorted(CLASS_INDEX, key=CLASS_INDEX.__getitem__)]


@dataclass(frozen=True)
class LossConfig:
    """The loss that the back-end is trained with. It also defines the score."""

    name: str = _key(
        "cross_entropy",
        "Loss to train with: a name from the registry `spoofcache.models.losses.LOSSES`, or a class of your own as "
        "`package.module:Name`.",
    )
    class_weights: ClassWeights = field(
        default_factory=ClassWeights, metadata={"help": "Weight of each class in the loss."}
    )
    settings: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Arguments of the loss, such as margin and scale. Each loss has its own."},
    )


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer that updates the weights; the keys have the meaning that they have in `torch.optim`."""

    name: Literal["adam", "adamw", "nadam", "sgd"] = _key("adam", "Optimizer from `torch.optim`.")
    lr: float = _key(1e-4, "Learning rate at the start of the schedule.", above=0)
    betas: tuple[float, float] = _key(
        (0.9, 0.999), "Decay rates of the two moment estimates of Adam, AdamW and NAdam.", at_least=0, below=1
    )
    eps: float = _key(1e-8, "Term added to the denominator of Adam, AdamW and NAdam for numerical stability.", above=0)
    weight_decay: float = _key(
        0.0, "Weight decay: an L2 penalty in the gradient, except for `adamw`, which decouples it.", at_least=0
    )
    momentum: float = _key(0.9, "Momentum of `sgd`.", at_least=0, below=1)
    nesterov: bool = _key(False, "Use Nesterov momentum with `sgd`.")
    clip_norm: float = _key(
        0.0, "Scale gradients down to this norm where their total norm is larger. 0 disables clipping.", at_least=0
    )


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate changes from update to update."""

    name: Literal["constant", "halve_every", "multi_step", "cosine_per_step", "cosine_per_epoch", "sgdr"] = _key(
        "constant",
        "Shape of the schedule. `halve_every` halves the rate every `epochs` epochs; `multi_step` multiplies it by "
        "`gamma` at each of `milestones`; `cosine_per_step` follows a cosine over the whole training and "
        "`cosine_per_epoch` one over `epochs` epochs, both down to `lr_min`; `sgdr` repeats it with warm restarts.",
    )
    epochs: int = _key(
        10,
        "Number of epochs between two halvings (`halve_every`), until the cosine ends (`cosine_per_epoch`), or of the "
        "first cycle (`sgdr`). Other schedules ignore it.",
        at_least=1,
    )
    milestones: tuple[int, ...] = _key((), "Epochs, counted from 0, at which `multi_step` lowers the rate.", at_least=1)
    gamma: float = _key(0.1, "Factor by which `multi_step` lowers the rate.", above=0, below=1)
    lr_min: float = _key(0.0, "Learning rate at which the cosine schedules and `sgdr` end.", at_least=0)
    restart_factor: int = _key(1, "Factor by which each cycle of `sgdr` is longer than the one before it.", at_least=1)
    warmup_steps: int = _key(0, "Number of first updates over which the rate rises linearly from 0.", at_least=0)


@dataclass(frozen=True)
class GrowthConfig:
    """Augmentation that becomes more frequent and stronger once the network is good enough.

    The schedule is that of "Towards Scalable AASIST" (arXiv 2507.11777; repository KORALLLL/AASIST_SCALING). As
    there, and as in the loss `cross_entropy_to_focal`, only the dev EERs of earlier epochs are known when an epoch
    begins, so growth starts in the epoch after the one whose dev EER fell below the threshold. Over `epochs` epochs,
    the probability grows linearly from the first to the second value of `probability`, and training moves from the
    first to the last recipe of `train.augment`.
    """

    eer_threshold: float = _key(
        0.0,
        "Dev EER, as a fraction, below which augmentation starts to grow. 0 disables growth.",
        at_least=0,
        at_most=1,
    )
    epochs: int = _key(10, "Number of epochs over which augmentation grows to its full extent.", at_least=1)
    probability: tuple[float, float] = _key(
        (0.5, 0.9),
        "Probability that an utterance is drawn in an augmented view, before and after growth.",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True)
class TrainConfig:
    """How the training runs: its length, its batches, what is drawn from the caches, and how it is computed."""

    epochs: int = _key(100, "Number of epochs to train for.", at_least=1)
    batch_size: int = _key(64, "Number of utterances per update, over all processes.", at_least=1)
    micro_batch: int = _key(
        0,
        "Largest number of utterances that go through the network at once; gradients are accumulated over the batch. "
        "The gradient stays the same except for the statistics of batch norms. 0 takes the whole batch at once.",
        at_least=0,
    )
    balanced: bool = _key(
        False,
        "Draw bona fide and spoofed utterances equally often, with replacement. Together with `corpus_weights` this "
        "holds within each corpus that has both classes.",
    )
    patience: int = _key(
        0,
        "Stop after this many consecutive epochs without an improvement on the dev partition. 0 trains for all epochs.",
        at_least=0,
    )
    average: Literal["none", "swa", "ema", "best"] = _key(
        "none",
        "Average of the weights that the run keeps as a second network: `swa` averages the weights after every epoch "
        "from `average_from` on, `ema` is an exponential moving average over the updates, and `best` averages the "
        "`average_count` best epochs. Statistics of batch norms are estimated anew.",
    )
    average_from: int = _key(
        0,
        'First epoch, counted from 0, that `average = "swa"` includes. There is no average if `patience` ends the '
        "training earlier.",
        at_least=0,
    )
    average_count: int = _key(5, 'Number of best epochs that `average = "best"` includes.', at_least=1)
    ema_decay: float = _key(0.999, 'Decay per update of the moving average of `average = "ema"`.', above=0, below=1)
    seed: int = _key(
        0,
        "Random seed of the initial weights, the order of utterances, their views and dropout.",
        at_least=0,
        below=2**63,
    )
    select: Literal["dev_eer", "dev_loss"] = _key(
        "dev_eer", "Figure on the dev partition that selects the best epoch. The lower loss wins among equal EERs."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _key(
        "auto", "Precision of the forward pass. `auto` uses 16 bits where the GPU supports them and float32 elsewhere."
    )
    compile: Literal["auto", "on", "off"] = _key(
        "auto",
        "Compile the network with `torch.compile`. `auto` times a few compiled steps in the first epoch and keeps them "
        "if they are faster.",
    )
    features: Literal["auto", "device", "pinned", "mapped"] = _key(
        "auto",
        "Where the features are kept during training: in the memory of the GPU (`device`), in page-locked host memory "
        "(`pinned`), or in the memory-mapped cache files (`mapped`). `auto` takes the fastest that has room.",
    )
    deterministic: bool = _key(
        False,
        "Use only algorithms that give the same numbers every time. On a GPU this takes longer, and a network with an "
        "operator that has no such algorithm is refused; on a CPU, trainings can be repeated exactly without it.",
    )
    batch_norm: Literal["global", "per_process"] = _key(
        "global",
        "Utterances over which batch norms compute their statistics when several processes train together: those of "
        "all processes (`global`, as in a single process), or those of each process alone (`per_process`).",
    )
    views: Literal["random", "all"] | tuple[int, ...] = _key(
        (0,),
        "Views of each utterance that an epoch uses: `random` draws one of all cached views, `all` takes every cached "
        "view, and a list draws one of the views with these numbers, where 0 is the clean one.",
        at_least=0,
    )
    augment: tuple[str, ...] = _key(
        (),
        "Augmentation recipes whose views are used, spelled as for preprocess.py, from the weakest to the strongest. "
        "Needed only where several recipes are cached.",
    )
    growth: GrowthConfig = field(
        default_factory=GrowthConfig, metadata={"help": "Augmentation that grows once the network is good enough."}
    )
    corpus_weights: tuple[float, ...] = _key(
        (),
        "Relative frequency with which each corpus is drawn, in the order of the --train options. An empty list takes "
        "every utterance of every corpus once.",
        above=0,
    )


@dataclass(frozen=True)
class EncoderConfig:
    """The upper part of the speech model, or all of it, that is trained together with the back-end.

    Without this table, the back-end alone is trained. The cache must hold the hidden state that enters the first
    trainable block. The rate of the encoder follows `[schedule]` in the same proportion as that of the back-end.
    """

    trainable_from: Literal["waveform"] | int = field(
        metadata={
            "help": "Number of blocks that stay frozen below the first trainable one: 22 takes a cache of `--layer 22` "
            'and trains the blocks 23 and 24 of XLS-R-300M. `"waveform"` takes a cache of `--frontend raw` and trains '
            "the whole model.",
            "at_least": 0,
        }
    )
    weights: str = _key(
        "",
        "Speech model: a name such as `xls-r-300m`, `owner/name` of the hub, or a folder. If empty, the one that the "
        'cache was made with; required with `trainable_from = "waveform"`.',
    )
    mode: Literal["full", "lora"] = _key(
        "full",
        "`full` trains all weights of the blocks; `lora` trains two small matrices beside each of their linear layers "
        "(LoRA, Hu et al. 2022), and needs the library peft.",
    )
    rank: int = _key(8, "Rank of the LoRA matrices.", at_least=1)
    alpha: float = _key(16.0, "Scale of the LoRA matrices, which are multiplied by alpha / rank.", above=0)
    lr: float = _key(1e-6, "Learning rate of the encoder at the start of the schedule.", above=0)
    weight_decay: float = _key(0.0, "Weight decay of the encoder.", at_least=0)
    layers_out: Literal["last"] | tuple[str, ...] = _key(
        "last",
        "Hidden states that the back-end gets: `last`, or a list of names as `--layer` of preprocess.py takes them, "
        "from the boundary on.",
    )
    combine: Literal["sum", "stack"] = _key(
        "sum",
        "How several `layers_out` are combined: `sum` adds them with learnt weights (soft-max), and `stack` passes all "
        "of them to the back-end, which must accept several layers.",
    )
    dropout: float = _key(0.0, "Probability of every dropout in the encoder.", at_least=0, below=1)
    layer_drop: float = _key(
        0.0, "Probability with which a block is skipped for a batch during training.", at_least=0, below=1
    )
    mask_time: float = _key(
        0.0,
        "Share of frames that are masked during training, in spans of 10 frames that may overlap, as in the "
        'pre-training of wav2vec 2.0; only with `trainable_from = "waveform"`.',
        at_least=0,
        below=1,
    )
    gradient_checkpointing: bool = _key(
        False, "Compute the blocks again in the backward pass, which takes less memory and more time."
    )
    train_extractor: bool = _key(
        False, 'Train the convolutions that take the waveform; only with `trainable_from = "waveform"`.'
    )
    normalize: Literal["checkpoint", "zero-mean-unit-variance", "none"] = _key(
        "checkpoint",
        'Normalisation of the waveform with `trainable_from = "waveform"`: as the `checkpoint` specifies, to '
        "`zero-mean-unit-variance`, or `none`.",
    )


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment: what main_train.py needs beside the caches and the run folder."""

    backend: BackendConfig = field(metadata={"help": "The network that is trained. The only required table."})
    loss: LossConfig = field(
        default_factory=LossConfig, metadata={"help": "The loss that the network is trained with."}
    )
    optimizer: OptimizerConfig = field(
        default_factory=OptimizerConfig, metadata={"help": "The optimizer that updates the weights."}
    )
    schedule: ScheduleConfig = field(
        default_factory=ScheduleConfig, metadata={"help": "How the learning rate changes."}
    )
    train: TrainConfig = field(default_factory=TrainConfig, metadata={"help": "How the training runs."})
    encoder: EncoderConfig | None = field(
        default=None, metadata={"help": "The part of the speech model that is trained with the back-end."}
    )
    features: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Fields that the identity of the caches must have, such as `front_end.name`. Caches of other "
            "features are refused. An empty table accepts any features."
        },
    )

    def to_toml(self) -> str:
        """The whole experiment as TOML, including the defaults. Without an encoder there is no such table."""
        import tomli_w  # imported here, since only a new run folder needs it

        tables = dataclasses.asdict(self)
        return tomli_w.dumps({name: table for name, table in tables.items() if table is not None})


def without_none(kind: Any) -> Any:
    """The type X of a key that may be absent, `X | None`; any other type as it is."""
    return next(each for each in get_args(kind) if each is not NoneType) if isinstance(kind, UnionType) else kind
