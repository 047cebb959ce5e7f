import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.config_file import ConfigError, load_config

CONFIGS = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.toml"))

SMALL = """
[backend]
name = "lcnn"

[train]
epochs = 3
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_its_header_states_the_command(path):
    load_config(path)
    assert "python main_train.py --config configs/" + path.name in path.read_text()


def test_what_is_written_into_the_run_folder_reads_back_the_same(small, tmp_path):
    config = load_config(small)
    again = tmp_path / "again.toml"
    again.write_text(config.to_toml())
    assert load_config(again) == config


def test_set_overrides_a_key_with_a_toml_value_or_a_plain_word(small):
    config = load_config(small, ["train.epochs=5", "optimizer.lr=3e-4", "train.select=dev_loss"])
    assert (config.train.epochs, config.optimizer.lr, config.train.select) == (5, 3e-4, "dev_loss")


def test_set_reaches_class_weights_by_name(small):
    config = load_config(small, ["loss.class_weights.bonafide=10"])
    assert (config.loss.class_weights.bonafide, config.loss.class_weights.spoof) == (10.0, 1.0)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.epoch=5", r"unknown key train\.epoch; the nearest known key is train\.epochs"),
        ("trian.epochs=5", r"unknown key trian; the nearest known key is train"),
        ("optimizer.learning_rate=1", r"unknown key optimizer\.learning_rate; expected optimizer\.lr$"),
        ("train.num_epochs=5", r"unknown key train\.num_epochs; expected train\.epochs$"),
        ("train.BatchSize=5", r"unknown key train\.BatchSize; expected train\.batch_size$"),
        ("train.learning_rate=1", r"unknown key train\.learning_rate; expected optimizer\.lr or encoder\.lr$"),
        ("optimizer.seed=1", r"unknown key optimizer\.seed; expected train\.seed$"),
        ("model.name=lcnn", r"unknown key model; expected backend$"),
        ("loss.class_weights.fake=1", r"unknown key loss\.class_weights\.fake; expected loss\.class_weights\.spoof$"),
        ("optimizer.xyzzy=1", r"unknown key optimizer\.xyzzy; expected one of optimizer\.name, optimizer\.lr, "),
        ("backend.settings.droput=0.5", r"unknown key backend\.settings\.droput; .* backend\.settings\.dropout"),
        ("train.epochs=many", r"train\.epochs is 'many'; expected a whole number"),
        ("train.epochs=2.5", r"train\.epochs is 2\.5; expected a whole number"),
        ("train.epochs=true", r"train\.epochs is True; expected a whole number"),
        ("train.select=eer", r"train\.select is 'eer'; expected one of dev_eer, dev_loss"),
        ("train.balanced=1", r"train\.balanced is 1; expected true or false"),
        ("backend.name=lccn", r"backend\.name is 'lccn'; expected one of lcnn"),
        ("loss.name=ce", r"loss\.name is 'ce'; expected one of cross_entropy"),
        ("loss.class_weights.real=1", r"unknown key loss\.class_weights\.real"),
        ("backend=lcnn", r"'backend=lcnn'; expected section\.key=value"),
        ("train.epochs", r"'train\.epochs'; expected section\.key=value"),
        ("train.epochs.deeper=1", r"epochs is not a section"),
        ("optimizer.betas=[0.9]", r"optimizer\.betas is \[0\.9\]; expected two numbers"),
        ("optimizer.lr=-1", r"optimizer\.lr is -1\.0; expected a number above 0"),
        ("optimizer.betas=[1.5, 0.9]", r"optimizer\.betas is 1\.5; expected a number below 1"),
        ("optimizer.lr=inf", r"optimizer\.lr is inf; expected a finite number"),
        ("train.seed=99999999999999999999999", r"train\.seed=9+': a whole number of more than 64 bits"),
        ("train.batch_size=0", r"train\.batch_size is 0; expected at least 1"),
        ("schedule.milestones=[30, 0]", r"schedule\.milestones is 0; expected at least 1"),
        ("schedule.milestones=30", r"schedule\.milestones is 30; expected a list"),
        ("optimizer.name=lamb", r"optimizer\.name is 'lamb'; expected one of adam, adamw, nadam, sgd"),
        ("train.average=mean", r"train\.average is 'mean'; expected one of none, swa, ema, best"),
        ("loss.settings.gamma=2", r"unknown key loss\.settings\.gamma; expected schedule\.gamma"),
        ("schedule.epochs=0", r"schedule\.epochs is 0; expected at least 1"),
        ("train.views=some", r"train\.views is 'some'; expected random, all or a list"),
        ("train.views=1", r"train\.views is 1; expected random, all or a list"),
        ("train.views=[-1]", r"train\.views is -1; expected at least 0"),
        ("train.views=['all']", r"train\.views is 'all'; expected a whole number"),
        (
            "train.views=[]",
            r"train\.views is empty; expected random, all, or a list of view numbers, where 0 is the clean view",
        ),
        ("train.augment=rawboost:5", r"train\.augment is 'rawboost:5'; expected a list"),
        ("train.corpus_weights=[1, 0]", r"train\.corpus_weights is 0\.0; expected a number above 0"),
        ("train.growth.probability=[0.5, 1.1]", r"train\.growth\.probability is 1\.1; expected at most 1"),
        ("train.growth.eer_threshold=8", r"train\.growth\.eer_threshold is 8\.0; expected at most 1"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(small, override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(small, [override])


def test_a_setting_of_a_part_without_any_is_refused(small):
    with pytest.raises(ConfigError, match=r"unknown key loss\.settings\.xyzzy; no key is known there"):
        load_config(small, ["loss.name=binary_cross_entropy", "loss.settings.xyzzy=2"])


def test_an_override_that_chooses_another_part_than_the_files_settings_is_blamed():
    sentence = (
        r"^--set backend\.name=ecapa_tdnn: the settings of .*lfcc_lcnn\.toml are for another part: it sets "
        r"backend\.settings\.dropout, and the settings here are channels; expected a configuration with this backend"
    )
    with pytest.raises(ConfigError, match=sentence):
        load_config(CONFIGS[0].with_name("lfcc_lcnn.toml"), ["backend.name=ecapa_tdnn"])


def test_an_override_is_blamed_for_its_own_mistake_and_the_file_for_the_others(small):
    with pytest.raises(ConfigError, match=r"^--set train\.epochs=many: train\.epochs is 'many'"):
        load_config(small, ["train.seed=3", "train.epochs=many"])
    with pytest.raises(ConfigError, match=r"^--set optim\.lr=1: unknown key optim; expected optimizer"):
        load_config(small, ["optim.lr=1"])
    with pytest.raises(
        ConfigError, match=r"^--set loss\.class_weights=\{bonafide=0\}: loss\.class_weights\.bonafide is 0"
    ):
        load_config(small, ["loss.class_weights={bonafide=0}"])
    small.write_text(SMALL + "[schedule]\nname = 'cosine_per_step'\nlr_min = 1e-6\n")
    with pytest.raises(ConfigError, match=r"^--set optimizer\.lr=1e-7: schedule\.lr_min is 1e-06; expected less than"):
        load_config(small, ["optimizer.lr=1e-7"])
    small.write_text(SMALL + "momentum = 0.5\n")
    with pytest.raises(ConfigError, match=r"small\.toml: unknown key train\.momentum; expected optimizer\.momentum"):
        load_config(small, ["train.epochs=4"])


def test_an_average_that_would_never_begin_is_refused(small):
    with pytest.raises(ConfigError, match=r"train\.average_from is 3; expected at most 2, the last epoch"):
        load_config(small, ["train.average=swa", "train.average_from=3"])


@pytest.mark.parametrize("views", [[], ["train.views=[0]"]])
def test_augmentation_without_a_view_to_draw_it_from_is_refused(small, views):
    told = (
        r"train\.augment is \['rawboost:5'\], but train\.views is \[0\] and .*; expected train\.views to be random, all"
    )
    with pytest.raises(ConfigError, match=told):
        load_config(small, ["train.augment=['rawboost:5']", *views])


@pytest.mark.parametrize("views", ["[0]", "[1, 2]", "all"])
def test_augmentation_that_has_nothing_to_grow_in_is_refused(small, views):
    with pytest.raises(
        ConfigError, match=r"train\.views .*; expected train\.views to be random, or a list of 0 and other views"
    ):
        load_config(small, ["train.growth.eer_threshold=0.08", f"train.views={views}"])


@pytest.mark.parametrize(("given", "read"), [("random", "random"), ("[0, 2]", (0, 2)), ("[1]", (1,))])
def test_views_are_a_word_or_numbers_and_survive_the_run_folder(small, tmp_path, given, read):
    config = load_config(small, [f"train.views={given}", "train.augment=['rawboost:5', 'noise:pink']"])
    (tmp_path / "again.toml").write_text(config.to_toml())
    again = load_config(tmp_path / "again.toml").train
    assert (again.views, again.augment) == (read, ("rawboost:5", "noise:pink"))


def test_settings_of_a_loss_and_milestones_survive_the_run_folder(small, tmp_path):
    config = load_config(small, ["loss.name=focal", "loss.settings.gamma=1.5", "schedule.milestones=[1, 2]"])
    (tmp_path / "again.toml").write_text(config.to_toml())
    again = load_config(tmp_path / "again.toml")
    assert (again.loss.settings, again.schedule.milestones) == ({"gamma": 1.5}, (1, 2))


def test_every_key_says_what_it_does():
    """The configuration reference is generated from these texts."""
    tables = [ExperimentConfig]
    for table in tables:
        assert table.__doc__
        for key in fields(table):
            assert re.match(r"[A-Z].{15,}\.$", key.metadata["help"]), (table, key.name)
        tables += [kind for kind in get_type_hints(table).values() if is_dataclass(kind)]
    assert len(tables) == 8


def test_a_missing_back_end_is_named(tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(ConfigError, match=r"empty\.toml: backend is missing"):
        load_config(path)


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[train\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: not TOML .*line 1"):
        load_config(path)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("schedule.name=cosine_per_step", "schedule.lr_min=1e-2"), "schedule.lr_min is 0.01; expected less than opti"),
        (
            ("schedule.name=halve_every", "schedule.lr_min=1e-6"),
            "expected 0, since only cosine schedules .*halve_every",
        ),
        (
            ("optimizer.nesterov=true", "optimizer.momentum=0"),
            "optimizer.nesterov is true; expected a momentum above 0",
        ),
    ],
)
def test_rates_that_contradict_each_other_are_refused(experiment, overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        experiment("optimizer.name=sgd", *overrides)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("x = " + "[" * 3_000 + "]" * 3_000, r"not TOML \(nested more than 32 levels deep\)"),
        ("[" + ".".join("a" * 2_000) + "]", r"not TOML \(nested more than 32 levels deep\)"),
        ("[train]\nseed = " + "9" * 5_000, r"not TOML \(a whole number of more than 64 bits\)"),
        ("[optimizer]\nlr = 1" + "0" * 400, r"not TOML \(a whole number of more than 64 bits\)"),
        ("[train]\nselect = '" + "x" * 9_000 + "'", r"train\.select is 'x+…; expected one of dev_eer, dev_loss$"),
    ],
)
def test_absurd_values_get_a_short_sentence(tmp_path, content, sentence):
    path = tmp_path / "experiment.toml"
    path.write_text(f"backend.name = 'pooled_linear'\n{content}\n")
    with pytest.raises(ConfigError, match=sentence) as refusal:
        load_config(path)
    assert len(str(refusal.value)) < 400


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text("[backend]\nname = 'pooled_linear'\n", encoding="utf-8-sig")
    assert load_config(str(path)).backend.name == "pooled_linear"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.epochs=3\ntrain.seed=2", r"^--set 'train\.epochs=3\\ntrain\.seed=2' sets several keys; expected one"),
        ("train.augment=gain\nnoise", r"expected one value$"),
        ("train.epochs=" + "9" * 5_000, r"^--set 'train\.epochs=9+…: a whole number of more than 64 bits"),
        ("train.views=" + "[" * 3_000, r"^--set 'train\.views=\[+…: nested more than 32 levels deep"),
        (".".join("a" * 3_000) + "=1", "expected section.key=value$"),
    ],
)
def test_an_override_that_is_more_than_a_value_is_refused(tmp_path, override, sentence):
    path = tmp_path / "experiment.toml"
    path.write_text("[backend]\nname = 'pooled_linear'\n")
    with pytest.raises(ConfigError, match=sentence):
        load_config(path, [override])


def test_an_override_may_have_spaces_and_a_list_several_lines(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text("[backend]\nname = 'pooled_linear'\n")
    config = load_config(path, [" train.epochs = 3 ", "train.views = [\n0,\n1]"])
    assert (config.train.epochs, config.train.views) == (3, (0, 1))
