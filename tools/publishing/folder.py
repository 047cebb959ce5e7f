"""The folder that is published: copies of the files of a run, without anything of the machine that made them."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import tomli_w

from spoofcache.common.toml import TomlError, read_toml
from spoofcache.engine.about import About, RunError
from spoofcache.engine.calibration_file import CALIBRATION, read_decision, weights_sha256
from spoofcache.engine.checkpoint import CONFIG, PAIRS, load_model
from spoofcache.features.frontends.hub import HUB_NAMES
from spoofcache.metrics.decision import Decision

CARD = "README.md"
LOADED_FROM = "_name_or_path"
"""The key under which transformers records where a model was loaded from, which is a folder of this machine."""


class Contents:
    """The published files of a run, checked: the weights load, and belong to their description.

    Attributes:
        about: the description of the best weights.
        n_parameters: number of values in the best weights.
        decisions: kind of weights → threshold and calibration.

    Raises:
        RunError: the run cannot be loaded.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._kinds = [kind for kind, (weights, about, _) in PAIRS.items() if kind == "best" or (run / about).exists()]
        loaded = {kind: load_model(run, kind) for kind in self._kinds}
        network, self.about = loaded["best"]
        self.n_parameters = sum(tensor.numel() for tensor in network.state_dict().values())
        found = {kind: read_decision(run, kind, weights_sha256(run, kind)) for kind in self._kinds}
        self.decisions: dict[str, Decision] = {kind: decision for kind, decision in found.items() if decision}

    def write(self, folder: Path, card: str) -> None:
        """Write the files into an existing folder."""
        for kind in self._kinds:
            weights, description, _ = PAIRS[kind]
            shutil.copyfile(self._run / weights, folder / weights)
            (folder / description).write_text(_description(self._run / description), encoding="utf-8")
        if (self._run / CONFIG).exists():
            (folder / CONFIG).write_text(_config(self._run / CONFIG, self.about), encoding="utf-8")
        if self.decisions:
            entries = {kind: asdict(decision) for kind, decision in self.decisions.items()}
            (folder / CALIBRATION).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        (folder / CARD).write_text(card, encoding="utf-8")


def _description(path: Path) -> str:
    """The description of weights, unchanged unless the speech model's configuration says where it was loaded from."""
    text = path.read_text(encoding="utf-8")
    fields = json.loads(text)
    model = fields.get("speech_model", {}).get("model", {})
    if not model.pop(LOADED_FROM, None):
        return text
    return json.dumps(fields, indent=1) + "\n"


def _config(path: Path, about: About) -> str:
    """The settings of the training, unchanged unless they name a folder of this machine."""
    text = path.read_text(encoding="utf-8")
    try:
        settings = read_toml(path)
    except TomlError as error:
        raise RunError(f"{path}: not TOML ({error}); expected the config of a run") from error
    weights = settings.get("encoder", {}).get("weights", "")
    known = {*HUB_NAMES, "", about.encoder.name if about.encoder else ""}
    if weights in known:
        return text
    settings["encoder"]["weights"] = ""
    return tomli_w.dumps(settings)
