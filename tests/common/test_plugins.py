"""Parts of the user's own in every place that takes a registry name."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from spoofcache import main_train, preprocess
from spoofcache.common.plugins import PluginChanged, PluginError, is_plugin, load_plugin
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import ABOUT, load_model, read_about
from spoofcache.engine.config_file import ConfigError, load_config
from spoofcache.engine.countermeasure import build_backend
from spoofcache.features.augment import EffectError, parse_effect
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import FrontEndError, make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.online import rebuild_features
from spoofcache.features.plan import ShardMismatch
from spoofcache.models.losses import CrossEntropy
from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError
from tests.runs import PERFECT, TRIALS, write_run, write_test

SOURCE = '''
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from spoofcache.features.augment.base import Effect
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.models.losses import CrossEntropy
from spoofcache.models.output import BackendOutput
from spoofcache.protocols.corpus import Corpus
from spoofcache.protocols.trial import Trial


class Mean(nn.Module):
    """The mean over time, and a linear layer."""

    def __init__(self, shape, width=4):
        super().__init__()
        self.embed = nn.Linear(shape[-1], width)
        self.output = nn.Linear(width, 2)

    def forward(self, features):
        embedding = self.embed(features.mean(1))
        return BackendOutput(embedding, self.output(embedding))


class Doubled(CrossEntropy):
    def per_utterance(self, output, labels):
        return 2 * super().per_utterance(output, labels)


class Halves(FrontEnd):
    slug = "halves"

    def __init__(self, options):
        options.refuse_network_options("halves")

    def settings(self):
        return {"name": "halves"}

    def extract(self, waveforms):
        return waveforms.unflatten(1, (2, -1)) / 2


@dataclass(frozen=True)
class Echo(Effect):
    name: ClassVar[str] = "echo"
    delay: int
    loudness: float = 0.5

    def apply(self, waveform, rng):
        louder = waveform.copy()
        louder[self.delay :] += self.loudness * waveform[: -self.delay]
        return louder


def read(where, partition):
    return [Trial(f"{partition}_{k}", key) for k, key in enumerate(("bonafide", "spoof"))]


def read_with_audio(where, partition):
    """The recordings below the root; those whose names begin with `fake` are spoofs."""
    files = sorted((where.folder("root") / partition).glob("*.wav"))
    return [Trial(p.stem, "spoof" if p.stem.startswith("fake") else "bonafide", path=p) for p in files]


TWO = Corpus(read)
RECORDINGS = Corpus(read_with_audio, partitions=("dev", "eval"))
NUMBER = 3
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's own in the current folder; its name is returned, and nobody else has it."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    name = f"mine_{tmp_path.name}"
    Path(f"{name}.py").write_text(SOURCE, encoding="utf-8")
    yield name
    forget(name)


def forget(name):
    sys.modules.pop(name, None)
    load_plugin.cache_clear()


@pytest.mark.parametrize("name", ["a:B", "a.b.c:D", "_a:b1"])
def test_a_module_and_a_name_in_it_are_a_plugin(name):
    assert is_plugin(name)


@pytest.mark.parametrize("name", ["lcnn", "a.b", "a:", ":b", "a:b:c", "a/b:c", "a b:c", "1a:b", "a..b:c", "a:b.c"])
def test_other_names_are_not_plugins(name):
    assert not is_plugin(name)


def test_the_current_folder_is_searched_last_and_only_while_a_plugin_is_imported(mine, tmp_path):
    before = list(sys.path)
    Path("json.py").write_text("raise RuntimeError\n")  # the standard library has one, which comes first
    Path(f"{mine}.py").write_text(SOURCE + "import json\nimport sys\nPATH = list(sys.path)\n", encoding="utf-8")
    path = load_plugin(f"{mine}:PATH").part
    assert path[-1] == str(tmp_path / "folder")
    assert sys.path == before


def test_a_package_of_the_user_is_not_confused_with_a_package_of_the_clone(monkeypatch, tmp_path):
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "__init__.py").touch()
    (tmp_path / "protocols" / "mine.py").write_text("class Net: ...\n")
    monkeypatch.chdir(tmp_path)
    assert load_plugin("protocols.mine:Net").part.__module__ == "protocols.mine"
    for name in ("protocols", "protocols.mine"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        (None, "Net", r"cannot be imported \(ModuleNotFoundError: .*expected a module of an installed package"),
        ("class Net(\n", "Net", r"cannot be imported \(SyntaxError: "),
        ("1 / 0\n", "Net", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("class Net: ...\n", "Nett", r"\.py has no Nett; expected package\.module:Name"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_a_sentence(text, name, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = f"broken_{tmp_path.name}"
    if text is not None:
        Path(f"{module}.py").write_text(text)
    with pytest.raises(PluginError, match=rf"^{module}:{name}: .*{sentence}"):
        load_plugin(f"{module}:{name}")
    forget(module)


def test_a_config_names_a_backend_and_a_loss_of_the_users_own(mine, tmp_path):
    config = tmp_path / "own.toml"
    config.write_text(f'[backend]\nname = "{mine}:Mean"\nsettings = {{ width = 3 }}\n[loss]\nname = "{mine}:Doubled"\n')
    experiment = load_config(config)
    network = build_backend(experiment.backend.name, (5, 7), experiment.backend.settings)
    assert network(torch.zeros(2, 5, 7)).embedding.shape == (2, 3)
    with pytest.raises(ConfigError, match=r"unknown key backend\.settings\.widht; the nearest known key is .*width"):
        load_config(config, ["backend.settings.widht=3"])
    with pytest.raises(ConfigError, match=rf"^--set .*: backend\.name is {mine}:Meen: .* has no Meen"):
        load_config(config, [f"backend.name={mine}:Meen"])
    with pytest.raises(ConfigError, match=rf"backend\.name is {mine}:NUMBER is 3; expected a class or a function"):
        load_config(config, [f"backend.name={mine}:NUMBER"])


class TestARunWithABackendOfTheUsersOwn:
    @pytest.fixture
    def run(self, mine, tmp_path):
        """A run folder whose back-end and loss are the user's own, as a training writes it."""
        train, dev = (
            write_test(
                tmp_path / name, PERFECT, trials=[replace(trial, utt_id=f"{name}-{trial.utt_id}") for trial in TRIALS]
            )
            for name in ("train", "dev")
        )
        config = tmp_path / "own.toml"
        config.write_text(f'backend.name = "{mine}:Mean"\nloss.name = "{mine}:Doubled"\ntrain.epochs = 1\n')
        options = ["--config", config, "--train", train, "--dev", dev, "--out", tmp_path / "run", "--device", "cpu"]
        done = CliRunner().invoke(main_train.main, [str(option) for option in options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return tmp_path / "run"

    def test_is_rebuilt_and_keeps_import_path_and_source(self, run, mine):
        model, about = load_model(run, "best")
        assert type(model.backend).__name__ == "Mean"
        assert isinstance(model.objective, CrossEntropy)
        assert set(about.plugins) == {f"{mine}:Mean", f"{mine}:Doubled"}
        assert len(set(about.plugins.values())) == 1
        assert json.loads((run / ABOUT).read_text())["plugins"] == dict(about.plugins)

    def test_is_refused_where_the_module_is_gone(self, run, mine):
        Path(f"{mine}.py").unlink()
        forget(mine)
        with pytest.raises(RunError, match=rf"model\.json: {mine}:Mean: {mine} cannot be imported"):
            load_model(run, "best")

    def test_says_that_the_source_has_changed(self, run, mine):
        Path(f"{mine}.py").write_text(SOURCE + "# mended\n")
        forget(mine)
        with pytest.warns(PluginChanged, match=rf"the source of {mine}:(Mean|Doubled) has changed since the training"):
            assert load_model(run, "best")[1].backend == f"{mine}:Mean"

    def test_of_an_earlier_version_needs_no_word_about_plugins(self, tmp_path):
        run = write_run(tmp_path / "old")
        fields = json.loads((run / ABOUT).read_text())
        del fields["plugins"]
        (run / ABOUT).write_text(json.dumps(fields))
        assert read_about(run).plugins == {}


class TestAFrontEndOfTheUsersOwn:
    def identity(self, name):
        return make_identity(make_frontend(name, FrontEndOptions()), ExtractOptions(n_samples=1000))

    def test_keeps_import_path_and_source_in_the_identity(self, mine):
        front_end = self.identity(f"{mine}:Halves").settings["front_end"]
        assert front_end["name"] == "halves"
        assert front_end["plugin"] == f"{mine}:Halves"
        assert front_end["source"].startswith("sha256:")
        json.dumps(front_end)

    def test_is_rebuilt_from_the_identity(self, mine):
        online = rebuild_features(self.identity(f"{mine}:Halves"), None, torch.device("cpu"))
        assert online.extract([np.full(1000, 0.5, np.float32)], "one").unique().tolist() == [0.25]
        assert online.row_shape() == (2, 500)

    def test_of_another_source_has_another_identity(self, mine):
        before = self.identity(f"{mine}:Halves")
        Path(f"{mine}.py").write_text(SOURCE + "# mended\n")
        forget(mine)
        assert self.identity(f"{mine}:Halves").digest != before.digest
        with pytest.raises(ShardMismatch, match=r"front_end\.source is 'sha256:.*', expected 'sha256:"):
            rebuild_features(before, None, torch.device("cpu"))

    @pytest.mark.parametrize("name", ["Mean", "NUMBER", "Absent"])
    def test_that_is_none_is_refused(self, name, mine):
        with pytest.raises(FrontEndError, match=rf"^front-end {mine}:{name}"):
            make_frontend(f"{mine}:{name}", FrontEndOptions())


class TestAnEffectOfTheUsersOwn:
    def test_takes_its_settings_as_ours_do(self, mine):
        effect = parse_effect(f"{mine}:Echo:3,loudness=1")
        assert effect(np.array([1, 0, 0, 0, 0], np.float32), seed=0).tolist() == [1, 0, 0, 1, 0]
        settings = effect.settings()
        assert {key: settings[key] for key in ("name", "delay", "loudness")} == {
            "name": "echo",
            "delay": 3,
            "loudness": 1.0,
        }
        assert settings["plugin"] == f"{mine}:Echo"
        assert settings["source"].startswith("sha256:")

    def test_names_the_folder_of_its_views_by_its_settings_alone(self, mine):
        from spoofcache.features.augment.view import View

        view = View(f"{mine}:Echo:3", 0, 1)
        identity = make_identity(make_frontend("raw", FrontEndOptions()), ExtractOptions(view=view))
        assert identity.effect == "echo-3-0.5"

    @pytest.mark.parametrize(
        ("spelling", "sentence"),
        [
            ("{}:Echo", "effect {}:Echo: no delay; expected delay=DELAY, loudness=LOUDNESS"),
            ("{}:Echo:x", "effect {}:Echo:x: delay=x; expected a whole number"),
            ("{}:Mean", "expected a subclass of spoofcache.features.augment.base.Effect"),
            ("nosie:pink", "effect 'nosie'; expected one of rawboost, codec, "),
        ],
    )
    def test_that_cannot_be_had_is_refused(self, spelling, sentence, mine):
        with pytest.raises(EffectError) as refusal:
            parse_effect(spelling.format(mine))
        assert sentence.format(mine) in str(refusal.value)


def test_a_corpus_of_the_users_own_is_read(mine):
    assert [trial.utt_id for trial in load_trials(f"{mine}:TWO", Location(Path()), "dev")] == ["dev_0", "dev_1"]
    with pytest.raises(ProtocolError, match=rf"corpus {mine}:read is <function .*; expected a Corpus"):
        load_trials(f"{mine}:read", Location(Path()), "dev")
    with pytest.raises(ProtocolError, match="needs --root"):
        load_trials(f"{mine}:TWO", Location(), "dev")


class TestACorpusOfTheUsersOwnInPreprocess:
    def run(self, mine, *options):
        """The exit status and the output of an extraction from its partition `dev`."""
        where = ("--corpus", f"{mine}:RECORDINGS", "--root", ".", "--partition", "dev", "--out", "cache")
        done = CliRunner().invoke(preprocess.main, [*where, "--frontend", "lfcc", "--device", "cpu", *options])
        return done.exit_code, done.output

    @pytest.fixture(autouse=True)
    def recordings(self, mine):
        Path("dev").mkdir()
        for number, name in enumerate(("fake1", "real1", "real2")):
            waveform = np.random.default_rng(number).uniform(-0.5, 0.5, 8000)
            soundfile.write(f"dev/{name}.wav", waveform, 16_000)

    def cached(self):
        (manifest,) = Path("cache").rglob("manifest.json")
        return json.loads(manifest.read_text()), CachedFeatures(manifest.parent)

    def test_leaves_import_path_and_source_in_the_manifest(self, mine):
        status, output = self.run(mine)
        assert status == 0, output
        manifest, features = self.cached()
        digest = hashlib.sha256(Path(f"{mine}.py").read_bytes()).hexdigest()
        assert manifest["read_by"] == {"plugin": f"{mine}:RECORDINGS", "source": f"sha256:{digest}"}
        assert [(features[k][1], features[k][2]) for k in range(3)] == [(0, "fake1"), (1, "real1"), (1, "real2")]

    def test_whose_source_has_changed_leaves_the_cache_valid(self, mine):
        """What the shards hold depends on the trials, which are compared, and not on how they were read."""
        assert self.run(mine)[0] == 0
        before = {path: path.read_bytes() for path in Path("cache").rglob("shard-*.h5")}
        Path(f"{mine}.py").write_text(SOURCE + "# mended\n")
        forget(mine)
        status, output = self.run(mine)
        assert status == 0, output
        assert {path: path.read_bytes() for path in Path("cache").rglob("shard-*.h5")} == before

    def test_refuses_a_partition_that_it_lacks(self, mine):
        status, output = self.run(mine, "--partition", "test")
        assert status == 2
        assert f"partition 'test' of {mine}:RECORDINGS; expected dev or eval" in output
        assert not Path("cache").exists()
