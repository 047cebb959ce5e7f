"""What a training writes into its run folder after every epoch, and how a resumed run continues from there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spoofcache.engine.about import About, RunError, first_line
from spoofcache.engine.checkpoint import ABOUT_AVERAGE, LAST, METRICS, load_last, save_average, save_best, save_last
from spoofcache.engine.history import Epoch
from spoofcache.engine.run_folder import append_line, keep_lines, require_same_conditions
from spoofcache.engine.trained_on import write_trained_on
from spoofcache.engine.training_setup import TrainingSetup
from spoofcache.engine.validation import DevFigures
from spoofcache.engine.warm_start import read_initial, start_from
from spoofcache.features.plan import keep_weights_folder, weights_folder


class Snapshots:
    """Saves and restores the state of a training. Of several processes only the main one writes."""

    def __init__(self, run: Path, setup: TrainingSetup) -> None:
        self._run, self._setup = run, setup
        self._writes = setup.processes.is_main

    def save_epoch(self, line: Epoch) -> None:
        """Add a finished epoch to the history, and save it.

        A run that is killed before `last.ckpt` is written repeats the epoch when it is resumed; one that is killed
        between `last.ckpt` and the best weights restores them from `last.ckpt`.
        """
        setup = self._setup
        if self._writes:
            append_line(self._run / METRICS, line._asdict())
        is_best = setup.history.add(line)
        setup.average.after_epoch(setup.model.trained(), line.epoch, setup.history.rank(line))
        about = replace(setup.about, epoch=line.epoch, dev_eer=line.dev_eer, dev_loss=line.dev_loss)
        if self._writes:
            save_last(self._run, self._state(about))
        if self._writes and is_best:
            save_best(self._run, setup.model, about)

    def _state(self, about: About) -> dict[str, Any]:
        """What `restore` needs to continue after the epoch that `about` describes."""
        setup = self._setup
        return {
            **setup.history.state_dict(),
            "about": about.to_json(),
            "conditions": dict(setup.conditions),
            "compiled": setup.compiling.is_compiled,
            "model": setup.model.state_dict(),
            "average": setup.average.state_dict(),
            **setup.updater.state_dict(),
        }

    @property
    def needs_average(self) -> bool:
        """There is an average of weights that the run folder does not have yet."""
        return self._setup.average.weights() is not None and not (self._run / ABOUT_AVERAGE).exists()

    def save_average(self, dev: DevFigures) -> None:
        """Save the network as the average of a finished training, with its figures on the dev partition."""
        setup = self._setup
        about = replace(setup.about, epoch=setup.history.next_epoch - 1, dev_eer=dev.eer, dev_loss=dev.loss)
        if self._writes:
            save_average(self._run, setup.model, about)

    def restore(self) -> list[str]:
        """Continue after the last finished epoch in the run folder, if there is one.

        Returns:
            Sentences about what could not be checked.

        Raises:
            RunError: the run was begun under other conditions, or other processes see other files.
        """
        setup, state, notes = self._setup, load_last(self._run), list[str]()
        if state is not None:
            begun = {"number of processes": "1"} | state["conditions"]  # runs of earlier versions do not record it
            unknown = require_same_conditions(self._run, begun, setup.conditions)
            if unknown:
                names = " and the ".join(unknown)
                notes.append(
                    f"{self._run} was begun by an earlier version, which did not record the {names}; the training "
                    "continues without comparing them"
                )
            try:
                self._load(state)
            except (RunError, torch.OutOfMemoryError):
                raise
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
                raise RunError(f"{self._run / LAST}: not the state of this training ({first_line(error)})") from error
        notes += self._note_initial_weights(is_new=state is None)
        here = (setup.history.next_epoch, dict(setup.conditions))
        if setup.processes.broadcast(here) != here:
            raise RunError(
                f"{self._run}: {LAST} or the caches differ from those that the main process sees; expected the same "
                "files on every machine"
            )
        if self._writes:
            write_trained_on(self._run, setup.train.corpora)
            self._keep_weights_folder()
            self._complete(state)
        return notes

    def _load(self, state: Mapping[str, Any]) -> None:
        """Put every part of the training into the state in which it was saved."""
        setup = self._setup
        setup.model.load_state_dict(state["model"])
        setup.updater.load_state_dict(state)
        if state.get("compiled"):
            setup.compiling.restore(str(self._run))
        setup.average.load_state_dict(state["average"], setup.processes.device)
        setup.history.load_state_dict(state)

    def _note_initial_weights(self, is_new: bool) -> list[str]:
        """Record where the initial weights come from, if the run folder has some; a new training starts from them."""
        initial = read_initial(self._run)
        if initial is None:
            return []
        versions = {**self._setup.about.versions, "initial_weights": initial.origin}
        self._setup.about = replace(self._setup.about, versions=versions)
        return [start_from(self._setup.model, initial)] if is_new else []

    def _keep_weights_folder(self) -> None:
        """Record where the speech model's checkpoint lies, if the caches know it, so that detect.py finds it."""
        trained = self._setup.speech_model_folder
        for folder in (trained, *(weights_folder(corpus.folder) for corpus in self._setup.train.corpora)):
            if folder is not None:
                keep_weights_folder(self._run, folder)

    def _complete(self, state: dict[str, Any] | None) -> None:
        """Write what a killed process may not have written after `last.ckpt`, and remove what it wrote later."""
        best = self._setup.history.best
        if state is not None and best is not None and best.epoch == state["epoch"]:
            save_best(self._run, self._setup.model, About.from_json(state["about"], self._run))
        keep_lines(self._run / METRICS, self._setup.history.next_epoch)
