"""The search as a user types it: what it prints, writes, resumes and refuses."""

import pytest
from click.testing import CliRunner

from spoofcache import main_search, main_train
from spoofcache.engine.search_picture import PICTURE
from spoofcache.features.plan import Identity
from spoofcache.models import light_darts
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.threads import one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("--cells", 2, "--channels", 2, "--batch-size", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Folders of a train and a dev cache."""
    root = tmp_path_factory.mktemp("caches")
    for seed, name in enumerate(("train", "dev")):
        trials = make_trials(24, name)
        write_cache(root / name, trials, separable_rows(trials, (16, 12), seed))
    return root / "train", root / "dev"


def run(command, *options):
    return CliRunner().invoke(command.main, [str(option) for option in options])


def refusal(*options):
    """The sentence with which a search refuses its options."""
    result = run(main_search, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


def test_a_search_of_three_epochs_writes_a_genotype_that_trains(caches, tmp_path):
    train, dev = caches
    found = run(main_search, "--train", train, "--out", tmp_path / "search", *SMALL, "--epochs", 3)
    assert found.exit_code == 0, found.output
    summary, path = found.stdout.splitlines()
    assert path == str(tmp_path / "search/genotype.toml")
    assert summary.startswith("expected cost 0.")
    assert found.stderr.count("expected cost") == 3
    assert {file.name for file in (tmp_path / "search").iterdir()} == {
        *("genotype.toml", "search.jsonl", "last.ckpt", PICTURE)
    }
    options = ("--train", train, "--dev", dev, "--out", tmp_path / "run", "--set", "train.epochs=1", "--device", "cpu")
    trained = run(main_train, "--config", path, *options, "--set", "train.batch_size=8")
    assert trained.exit_code == 0, trained.output
    assert "best epoch 0" in trained.stdout


def test_an_interrupted_search_says_how_to_resume_and_resumes(caches, tmp_path, monkeypatch):
    options = ("--train", caches[0], "--out", tmp_path / "search", *SMALL, "--epochs", 2)

    def interrupt(line):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(main_search, "_print_epoch", interrupt)
        stopped = run(main_search, *options)
    assert stopped.exit_code == 130
    assert "To continue, run the same command with --resume." in stopped.stderr
    assert not (tmp_path / "search/genotype.toml").exists()
    resumed = run(main_search, *options, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "epoch 1" in resumed.stderr
    assert "epoch 0" not in resumed.stderr
    assert (tmp_path / "search/genotype.toml").exists()


def test_wrong_input_gets_a_sentence(caches, tmp_path):
    data = ("--train", caches[0], "--out")
    assert "exists; expected a new folder, or --resume" in refusal(*data, tmp_path)
    assert "SuperNet with 3 channels; expected a multiple of 2" in refusal(*data, tmp_path / "s", "--channels", 3)
    assert "cost_weight -1.0; expected at least 0" in refusal(*data, tmp_path / "s", "--cost-weight", -1)
    assert "manifest.json" in refusal("--train", tmp_path, "--out", tmp_path / "s")
    assert "'dark' is not one of 'light', 'pc'" in refusal(*data, tmp_path / "s", "--space", "dark")
    assert not (tmp_path / "s").exists()


def test_statistics_over_time_are_not_searched_on(tmp_path):
    trials = make_trials(12)
    pooled = Identity({**IDENTITY.settings, "front_end": {"name": "test", "pool": "mean"}})
    write_cache(tmp_path / "train", trials, separable_rows(trials, (16, 12)), pooled)
    assert "statistics over time (--pool mean)" in refusal("--train", tmp_path / "train", "--out", tmp_path / "search")


def test_help_has_an_example():
    assert "python main_search.py --train" in run(main_search, "--help").stdout


def test_the_command_offers_the_spaces_of_the_network():
    assert main_search.SPACES == light_darts.SPACES
