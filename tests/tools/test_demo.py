"""The driver of the demonstration, its commands recorded instead of run."""

import sys

import pytest
from click.testing import CliRunner

from spoofcache.tools import demo
from spoofcache.tools.demo import Failed, demonstrate, main, run, speech_for
from spoofcache.tools.demo_speech import Speech

ROAD = [
    "tools/build_demo_corpus.py",
    *["preprocess.py"] * 3,
    "main_train.py",
    "generate_score.py",
    "evaluate_tDCF_asvspoof19.py",
]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The commands that the driver gives; each leaves what the real one would."""
    given = []

    def record(*command):
        words = [str(word) for word in command]
        given.append(words)
        out = tmp_path / words[words.index("--out") + 1] if "--out" in words else None
        if words[0] == "tools/build_demo_corpus.py":
            out.mkdir(parents=True)
        elif words[0] == "main_train.py":
            out.mkdir(parents=True, exist_ok=True)
            (out / "metrics.jsonl").write_text("{}\n" * 4)
        elif words[0] == "generate_score.py":
            out.parent.mkdir(parents=True, exist_ok=True)
            out.touch()
        return f"a line\ncache/{words[words.index('--partition') + 1]}\n" if "--partition" in words else ""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "run", record)
    return given


@pytest.fixture
def speech(tmp_path):
    return Speech(tmp_path / "speech", "debian", "recorded human speech")


def test_the_first_demo_walks_the_whole_road(commands, speech):
    demonstrate("lfcc", "small", speech)
    assert [command[0] for command in commands] == ROAD
    train = commands[4]
    assert train[train.index("--train") + 1] == "cache/train"
    assert train[train.index("--dev") + 1] == "cache/dev"
    assert "--resume" not in train


def test_the_second_demo_reuses_what_is_done(commands, speech):
    demonstrate("lfcc", "small", speech)
    commands.clear()
    demonstrate("lfcc", "small", speech)
    assert [command[0] for command in commands] == [*["preprocess.py"] * 3, "evaluate_tDCF_asvspoof19.py"]


def test_an_unfinished_training_is_resumed_and_its_old_scores_go(commands, speech, tmp_path):
    demonstrate("lfcc", "small", speech)
    commands.clear()
    (tmp_path / "demo/debian-small/runs/lfcc_lcnn/metrics.jsonl").write_text("{}\n" * 2)
    demonstrate("lfcc", "small", speech)
    assert [command[0] for command in commands] == ROAD[1:]
    assert commands[3][-1] == "--resume"


def test_sizes_front_ends_and_speech_do_not_mix(commands, speech, tmp_path):
    for frontend, size, label in (
        ("lfcc", "small", "debian"),
        ("xls-r-300m", "full", "debian"),
        ("lfcc", "small", "x"),
    ):
        demonstrate(frontend, size, speech._replace(label=label))
    runs = sorted(path.relative_to(tmp_path / "demo").as_posix() for path in (tmp_path / "demo").glob("*/runs/*"))
    assert runs == ["debian-full/runs/xlsr300m_lcnn", "debian-small/runs/lfcc_lcnn", "x-small/runs/lfcc_lcnn"]


def test_two_folders_of_one_name_are_distinguished(tmp_path):
    labels = {speech_for(tmp_path / place / "wav").label for place in ("a", "b")}
    assert len(labels) == 2
    assert all(label.startswith("wav-") for label in labels)


def test_a_command_is_printed_and_its_output_returned(tmp_path, capfd):
    (tmp_path / "say.py").write_text("import sys; print('said', *sys.argv[1:])")
    assert run(tmp_path / "say.py", "two words") == "said two words\n"
    printed = capfd.readouterr().out
    assert f"$ python {tmp_path / 'say.py'} 'two words'" in printed
    assert "said two words" in printed


def test_a_command_that_fails_ends_the_demo_with_its_status(tmp_path, monkeypatch):
    (tmp_path / "fail.py").write_text("raise SystemExit(2)")
    with pytest.raises(Failed) as failure:
        run(tmp_path / "fail.py")
    assert failure.value.status == 2
    monkeypatch.setattr(demo, "obtain", lambda root: Speech(tmp_path, "none", "no speech"))
    monkeypatch.setattr(demo, "demonstrate", lambda *_: run(tmp_path / "fail.py"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Speech: no speech." in result.output
    assert sys.executable not in result.output
