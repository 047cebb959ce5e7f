"""Checks of values of an experiment that must fit each other; each raises ConfigError."""

from spoofcache.engine.config import ExperimentConfig, TrainConfig
from spoofcache.engine.config_source import Source


def check_rates(config: ExperimentConfig, source: Source) -> None:
    schedule, start, keys = config.schedule, config.optimizer.lr, ("schedule.lr_min", "schedule.name")
    if schedule.lr_min and not (schedule.name.startswith("cosine") or schedule.name == "sgdr"):
        raise source.error(
            f"schedule.lr_min is {schedule.lr_min}; expected 0, since only cosine schedules and sgdr have a final "
            f"learning rate, and schedule.name is {schedule.name}",
            *keys,
        )
    if schedule.lr_min >= start:
        raise source.error(
            f"schedule.lr_min is {schedule.lr_min}; expected less than optimizer.lr, {start}",
            "schedule.lr_min",
            "optimizer.lr",
        )
    if config.optimizer.nesterov and not config.optimizer.momentum:
        raise source.error(
            "optimizer.nesterov is true; expected a momentum above 0 with it",
            "optimizer.nesterov",
            "optimizer.momentum",
        )


def check_average(train: TrainConfig, source: Source) -> None:
    if train.average == "swa" and train.average_from >= train.epochs:
        message = f"train.average_from is {train.average_from}; expected at most {train.epochs - 1}, the last epoch"
        raise source.error(message, "train.average_from", "train.epochs", "train.average")


def check_views(train: TrainConfig, source: Source) -> None:
    if not train.views:
        raise source.error(
            "train.views is empty; expected random, all, or a list of view numbers, where 0 is the clean view",
            "train.views",
        )
    if train.augment and not (isinstance(train.views, str) or any(train.views)):
        raise source.error(
            f"train.augment is {list(train.augment)}, but train.views is {list(train.views)} and uses no augmented "
            "view; expected train.views to be random, all, or a list with numbers above 0",
            "train.augment",
            "train.views",
        )
    some_drawn = train.views == "random" or (train.views != "all" and 0 in train.views and len(set(train.views)) > 1)
    if train.growth.eer_threshold and not some_drawn:
        raise source.error(
            f"train.growth.eer_threshold is {train.growth.eer_threshold}, but train.views is {train.views}; expected "
            "train.views to be random, or a list of 0 and other views, so that views are drawn at random",
            "train.growth.eer_threshold",
            "train.views",
        )


def check_encoder(config: ExperimentConfig, source: Source) -> None:
    encoder = config.encoder
    if encoder is None:
        return
    if encoder.trainable_from != "waveform":
        for key in ("mask_time", "train_extractor"):
            if getattr(encoder, key):
                raise source.error(
                    f"encoder.{key} is set, but the cache holds the result of what it changes; expected "
                    'encoder.trainable_from = "waveform" with it',
                    f"encoder.{key}",
                    "encoder.trainable_from",
                )
    if not encoder.layers_out or (
        len(set(encoder.layers_out)) < len(encoder.layers_out) and encoder.layers_out != "last"
    ):
        raise source.error(
            f"encoder.layers_out is {encoder.layers_out!r}; expected last, or a list of different hidden states",
            "encoder.layers_out",
        )
