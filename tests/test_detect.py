"""The user's own recordings: what is scored, printed, written and refused."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from spoofcache import detect, generate_score
from spoofcache.engine import detection
from spoofcache.engine.about import FORMAT_VERSION, About, versions
from spoofcache.engine.calibration_file import weights_sha256, write_decision
from spoofcache.engine.checkpoint import save_best
from spoofcache.engine.countermeasure import build_backend
from spoofcache.engine.detection import SCORES
from spoofcache.features.extract import extract_partition, make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.plan import Plan
from spoofcache.metrics.decision import Decision
from spoofcache.metrics.score_files import read_scores
from spoofcache.protocols import find_audio
from spoofcache.protocols.trial import CLASS_INDEX
from tests.corpora import make_trials, write_corpus

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"pooled_linear": ("lfcc", None), "aasist_l": ("raw", "int16")}
"""Network → the front-end and the stored type of its cache."""


def run(*options):
    return CliRunner().invoke(detect.main, [str(option) for option in options])


def rows(result):
    """What a command that must succeed prints: the cells of each line."""
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def scores(result):
    """File name → score."""
    return {Path(path).name: float(score) for path, score, *_ in rows(result)}


def refusal(*options):
    """The one sentence of a command that must refuse."""
    result = run(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return sentence.removeprefix("Error: ")


def make_run(folder, backend, n_samples=16_000):
    """A run folder with random weights, with its front-end and how its caches are made."""
    name, dtype = RUNS[backend]
    frontend, how = make_frontend(name, FrontEndOptions()), ExtractOptions(n_samples=n_samples, dtype=dtype)
    shape, identity = frontend.row_shape(n_samples), make_identity(frontend, how)
    torch.manual_seed(1)
    about = About(FORMAT_VERSION, backend, {}, shape, identity.settings, CLASS_INDEX, 0, 0.1, 0.2, versions())
    folder.mkdir()
    save_best(folder, build_backend(backend, shape, {}), about)
    return frontend, how


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six trials of half a second and the folder of their audio."""
    trials = make_trials(6)
    _, audio_dir = write_corpus(tmp_path_factory.mktemp("corpus"), trials)
    return find_audio(trials, audio_dir), audio_dir


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A run of a pooled linear network on the LFCC of one second."""
    folder = tmp_path_factory.mktemp("runs") / "linear"
    make_run(folder, "pooled_linear")
    return folder


@pytest.fixture
def long_file(tmp_path):
    """Ten seconds that grow louder from one to the next."""
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).standard_normal(160_000) * np.repeat(0.02 * 1.3 ** np.arange(10), 16_000)
    soundfile.write(path, noise, 16_000, "FLOAT")
    return path


@pytest.mark.parametrize("backend", RUNS)
def test_a_score_is_the_one_that_the_cache_of_the_file_gets(corpus, tmp_path, backend):
    trials, audio_dir = corpus
    frontend, how = make_run(tmp_path / "run", backend)
    shape = frontend.row_shape(how.n_samples)
    plan = Plan.make("test", "eval", make_identity(frontend, how), trials, shape)
    extract_partition(trials, plan, frontend, tmp_path / "eval", how)
    options = ["--run", tmp_path / "run", "--features", tmp_path / "eval", "--out", tmp_path / "eval.txt"]
    assert CliRunner().invoke(generate_score.main, [str(option) for option in options]).exit_code == 0
    cached = read_scores(tmp_path / "eval.txt")
    assert run("--run", tmp_path / "run", audio_dir, "--json", tmp_path / "detect.json").exit_code == 0
    files = json.loads((tmp_path / "detect.json").read_text())["files"]
    assert [Path(file["path"]).stem for file in files] == cached.utt_ids
    np.testing.assert_allclose([file["score"] for file in files], cached.scores, rtol=0, atol=1e-6)


def test_the_three_scores_are_of_the_same_two_logits(linear, corpus):
    llr, logit, probability = (scores(run("--run", linear, corpus[1], "--score", kind)) for kind in detect.SCORES)
    assert len(llr) == 6
    for name, value in llr.items():
        assert probability[name] == pytest.approx(1 / (1 + np.exp(-value)), rel=1e-5)
    assert len({round(value - logit[name], 3) for name, value in llr.items()}) > 1


def test_every_score_of_the_help_is_there():
    assert tuple(SCORES) == detect.SCORES


def test_a_threshold_adds_the_decision(linear, corpus):
    values = sorted(scores(run("--run", linear, corpus[1])).values())
    told = rows(run("--run", linear, corpus[1], "--threshold", values[3] - 1e-4))
    told.sort(key=lambda row: float(row[1]))
    assert [decision for *_, decision in told] == ["spoof"] * 3 + ["bonafide"] * 3


@pytest.fixture
def calibrated(linear, tmp_path):
    """The same run, with a calibration."""
    folder = shutil.copytree(linear, tmp_path / "calibrated")
    fitted = Decision(2.0, -1.0, 0.25, 0.125, "LA/dev", 22_296, 2_548, weights_sha256(folder, "best"))
    write_decision(folder, "best", fitted)
    return folder


def test_a_run_with_a_calibration_gives_a_ratio_a_probability_and_a_verdict_and_says_where_from(calibrated, corpus):
    result = run("--run", calibrated, corpus[1], "--prior", "0.9")
    for _, score, llr, probability, verdict in rows(result):
        assert float(llr) == pytest.approx(2 * float(score) - 1, rel=1e-5)
        assert float(probability) == pytest.approx(1 / (1 + np.exp(-float(llr)) / 9), rel=1e-5)
        assert verdict == ("bonafide" if float(score) >= 0.25 else "spoof")
    assert result.stderr.splitlines()[:2] == [
        "columns: path, score, calibrated log-likelihood ratio, probability of bona fide at prior 0.9, verdict",
        "bona fide from a score of 0.25 on: the threshold of the EER (12.50%) on LA/dev (22,296 bona fide and 2,548 "
        "spoof trials)",
    ]


def test_a_threshold_of_the_user_replaces_that_of_the_run(calibrated, corpus, tmp_path):
    out = tmp_path / "out"
    result = run("--run", calibrated, corpus[1], "--threshold", "-1e9", "--csv", f"{out}.csv", "--json", f"{out}.json")
    assert [row[-1] for row in rows(result)] == ["bonafide"] * 6
    assert "bona fide from a score of -1e+09 on: --threshold" in result.stderr
    header, *lines = csv.reader(Path(f"{out}.csv").read_text().splitlines())
    assert header == ["path", "score", "calibrated_llr", "probability", "decision"]
    told = json.loads(Path(f"{out}.json").read_text())
    assert (told["threshold"], told["prior"], told["calibration"]["fitted_on"]) == (-1e9, 0.5, "LA/dev")
    assert [float(line[2]) for line in lines] == [file["calibrated_llr"] for file in told["files"]]


def test_a_missing_calibration_is_reported(linear, calibrated, corpus):
    assert run("--run", linear, corpus[1]).stderr.startswith("no calibration: this network has none; the scores rank")
    assert "it is not for --score probability" in run("--run", calibrated, corpus[1], "--score", "probability").stderr
    assert refusal("--run", linear, corpus[1], "--prior", "0.3").startswith("--prior needs the calibration of a run")


def test_folders_are_walked_for_audio_in_order_and_every_file_scored_once(linear, corpus, tmp_path):
    (tmp_path / "in/b").mkdir(parents=True)
    first, second = sorted(corpus[1].iterdir())[:2]
    shutil.copy(first, tmp_path / "in/b/x.flac")
    soundfile.write(tmp_path / "in/a.WAV", soundfile.read(second)[0], 16_000)
    (tmp_path / "in/notes.txt").write_text("no audio")
    given = (tmp_path / "in/b/x.flac", "--input", tmp_path / "in", "--input", first)
    told = [Path(path) for path, _ in rows(run("--run", linear, *given))]
    assert told == [tmp_path / "in/b/x.flac", tmp_path / "in/a.WAV", first]


def test_windows_follow_the_recording_and_their_mean_is_its_score(linear, long_file, tmp_path):
    out = tmp_path / "out.json"
    options = ("--run", linear, long_file, "--windows", "--json", out)
    assert len(rows(run(*options, "--hop", "0.75", "--batch-size", "5"))) == 1
    told = json.loads(out.read_text())
    (file,) = told["files"]
    assert (told["window_seconds"], told["hop_seconds"], told["run"]) == (1.0, 0.75, str(linear))
    assert [window["start"] for window in file["windows"]] == [*np.arange(0, 9, 0.75), 9.0]
    assert {window["end"] - window["start"] for window in file["windows"]} == {1.0}
    assert file["score"] == pytest.approx(np.mean([window["score"] for window in file["windows"]]))
    samples, _ = soundfile.read(long_file, dtype="float32")
    for window in (file["windows"][2], file["windows"][-1]):  # each as if it were a file of its own
        start = int(16_000 * window["start"])
        soundfile.write(tmp_path / "cut.wav", samples[start : start + 16_000], 16_000, "FLOAT")
        assert scores(run("--run", linear, tmp_path / "cut.wav"))["cut.wav"] == pytest.approx(window["score"], abs=1e-5)


def test_without_windows_the_beginning_is_scored(linear, long_file, tmp_path):
    soundfile.write(tmp_path / "cut.wav", soundfile.read(long_file)[0][:16_000], 16_000, "FLOAT")
    told = scores(run("--run", linear, long_file, tmp_path / "cut.wav"))
    assert told["long.wav"] == pytest.approx(told["cut.wav"], abs=1e-6)


def test_a_file_shorter_than_a_window_has_one_that_is_filled(linear, corpus, tmp_path):
    path, out = corpus[0][0].path, tmp_path / "out.json"
    plain = scores(run("--run", linear, path))
    assert scores(run("--run", linear, path, "--windows", "--json", out)) == plain
    told = json.loads(out.read_text())
    assert told["hop_seconds"] == 0.5
    assert [(window["start"], window["end"]) for window in told["files"][0]["windows"]] == [(0, 0.5)]


def test_pictures_are_whole_and_named_after_the_files(linear, long_file, corpus, tmp_path):
    options = ("--run", linear, long_file, corpus[0][0].path, "--windows", "--plot", tmp_path / "p", "--threshold", "0")
    result = run(*options, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    pictures = sorted((tmp_path / "p").iterdir())
    assert [path.name for path in pictures] == ["U_0000.flac.png", "long.wav.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    told = json.loads((tmp_path / "out.json").read_text())["files"]
    assert [file["picture"] for file in told] == [str(path) for path in reversed(pictures)]


def test_the_table_in_csv(linear, corpus, tmp_path):
    out = tmp_path / "new/out.csv"
    told = rows(run("--run", linear, corpus[1], "--threshold", "0", "--csv", out))
    with out.open(newline="") as file:
        header, *written = csv.reader(file)
    assert header == ["path", "score", "decision"]
    assert [(path, decision) for path, _, decision in written] == [(path, decision) for path, _, decision in told]
    assert [float(row[1]) for row in written] == pytest.approx([float(row[1]) for row in told], rel=1e-6)


def test_unusable_files_are_named_the_others_scored_and_the_status_is_2(linear, corpus, tmp_path):
    audio = tmp_path / "in"
    shutil.copytree(corpus[1], audio)
    (audio / "U_0001.flac").write_bytes(b"")
    (audio / "U_0003.flac").write_text("hello")
    result = run("--run", linear, audio, "--windows", "--json", tmp_path / "o.json", "--plot", tmp_path / "p")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 4
    assert f"{audio / 'U_0001.flac'}: empty, truncated or not audio" in result.stderr
    assert result.stderr.splitlines()[-1] == "Error: 2 of 6 files could not be scored"
    told = json.loads((tmp_path / "o.json").read_text())
    assert [Path(file["path"]).name for file in told["unusable"]] == ["U_0001.flac", "U_0003.flac"]
    assert len(told["files"]) == len(list((tmp_path / "p").iterdir())) == 4


@pytest.mark.parametrize(
    ("backend", "dtype"), [("pooled_linear", "float16"), ("aasist_l", "int16"), ("aasist_l", "float32")]
)
def test_a_file_far_too_loud_is_unusable(corpus, tmp_path, monkeypatch, backend, dtype):
    monkeypatch.setitem(RUNS, backend, (RUNS[backend][0], dtype))
    make_run(tmp_path / "run", backend)
    soundfile.write(tmp_path / "loud.wav", np.full(8_000, 3e38), 16_000, "FLOAT")
    result = run("--run", tmp_path / "run", tmp_path / "loud.wav", corpus[0][0].path)
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 1
    assert "loud.wav: samples as large as 3e+38; expected a full scale of ±1" in result.stderr


def test_a_name_in_another_encoding_is_scored(linear, corpus, tmp_path):
    path = os.fsencode(tmp_path / "caf") + b"\xe9 $x$ \xe6\x97\xa5.flac"
    shutil.copy(corpus[0][0].path, path)
    options = ("--windows", "--json", tmp_path / "o.json", "--csv", tmp_path / "o.csv", "--plot", tmp_path / "p")
    assert len(rows(run("--run", linear, tmp_path, *options))) == 1
    assert b"caf\xe9 $x$ \xe6\x97\xa5.flac," in (tmp_path / "o.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "name"), [("--json", "o.json"), ("--csv", "o.csv"), ("--plot", "p/U_0000.flac.png")]
)
def test_an_output_that_exists_is_kept_without_overwrite(linear, corpus, tmp_path, option, name):
    (tmp_path / "p").mkdir()
    (tmp_path / name).write_text("precious")
    where = tmp_path / name.partition("/")[0]
    options = ("--run", linear, corpus[0][0].path, "--windows", option, where)
    assert refusal(*options) == f"{tmp_path / name}: exists already; choose another name, or --overwrite to replace it"
    assert (tmp_path / name).read_text() == "precious"
    assert run(*options, "--overwrite").exit_code == 0
    assert (tmp_path / name).read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("a.wav",), "expected --run, or --model with --checkpoint"),
        (("--run", "run", "--model", "aasist", "--checkpoint", "x.pth", "a.wav"), "expected --run, or --model with"),
        (("--model", "aasist", "a.wav"), "expected --run, or --model with --checkpoint"),
        (("--run", "run", "--checkpoint", "x.pth", "a.wav"), "expected --run, or --model with --checkpoint"),
        (("--run", "run"), "no recordings; expected audio files or folders of them"),
        (("--run", "run", "none.wav"), "Path 'none.wav' does not exist"),
        (("--run", "run", "empty"), "empty: no audio file in it; expected .flac, .wav"),
        (("--run", "empty", "a.wav"), "empty: no model.safetensors with model.json; expected the run folder"),
        (("--run", "run", "a.wav", "--hop", "1"), "--hop and --plot require --windows"),
        (("--run", "run", "a.wav", "--plot", "p"), "--hop and --plot require --windows"),
        (("--run", "run", "a.wav", "--threshold", "nan"), "--threshold nan; expected a finite number"),
        (("--run", "run", "a.wav", "--weights", "empty"), "front-end lfcc has no weights"),
        (("--run", "run", "a.wav", "--device", "tpu"), "--device tpu: expected auto, cpu, cuda or cuda:k"),
        (("--run", "run", "a.wav", "--csv", "o", "--json", "o"), "o: named twice; choose a name for each output"),
        (("--run", "run", "a.wav", "--json", "a.wav", "--overwrite"), "a.wav: is an input; choose another name"),
        (("--model", "ssl_aasist", "--checkpoint", "x.pth", "a.wav"), "expected one of aasist, aasist_l, rawnet2, or"),
        (("--model", "aasist", "--checkpoint", "x.pth", "a.wav"), "x.pth: truncated, or no checkpoint of torch"),
        (("--model", "aasist", "--checkpoint", "x.pth", "--weights", "empty", "a.wav"), "--model take waveforms"),
    ],
)
def test_wrong_usage_gets_a_sentence(linear, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(linear, "run")
    Path("empty").mkdir()
    Path("x.pth").write_text("hello")
    soundfile.write("a.wav", np.zeros(8_000), 16_000)
    assert sentence in refusal(*options)
    assert not Path("o").exists()


def test_a_run_behind_another_front_end_is_refused_with_the_field(linear, corpus, tmp_path):
    shutil.copytree(linear, tmp_path / "run")
    about = json.loads((tmp_path / "run/model.json").read_text())
    about["identity"]["front_end"]["n_fft"] = 512
    (tmp_path / "run/model.json").write_text(json.dumps(about))
    sentence = refusal("--run", tmp_path / "run", corpus[1])
    assert sentence.endswith("the network was trained on: front_end.n_fft is 1024, expected 512")


def test_interrupted_it_has_printed_the_scores_so_far_and_leaves_no_file(linear, corpus, tmp_path, monkeypatch):
    read, calls = detection.load_recording, []

    def interrupt_at_the_third(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(*arguments, **options)

    monkeypatch.setattr(detection, "load_recording", interrupt_at_the_third)
    result = run("--run", linear, corpus[1], "--json", tmp_path / "o.json", "--csv", tmp_path / "o.csv")
    assert result.exit_code == 130
    assert len(result.stdout.splitlines()) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("samples", "remarks"),
    [
        (0.5 * np.sin(np.arange(16_000)), []),
        (0.5 * np.sin(np.arange(16_001)), ["only the first 1.00 s were scored; --windows scores the whole file"]),
        (0.5 * np.sin(np.arange(8_000)), ["only 0.50 s long; scores of files shorter than 1 s are unreliable"]),
        (1e-4 * np.sin(np.arange(16_000)), ["silent; the score says nothing"]),
        (np.clip(3 * np.sin(np.arange(16_000)), -1, 1), ["clipped at full scale; the score may be unreliable"]),
    ],
    ids=["fine", "long", "short", "silent", "clipped"],
)
def test_a_doubtful_score_is_reported_with_the_reason(linear, tmp_path, samples, remarks):
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, 16_000, "FLOAT")
    result = run("--run", linear, path, "--json", tmp_path / "o.json")
    assert result.exit_code == 0
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert warnings == [f"Warning: {path}: {remark}" for remark in remarks]
    assert json.loads((tmp_path / "o.json").read_text())["files"][0].get("warnings", []) == remarks


def test_a_newline_in_a_files_name_stays_in_its_line(linear, corpus, tmp_path):
    shutil.copy(corpus[0][0].path, tmp_path / "two\nlines\t.flac")
    (line,) = run("--run", linear, tmp_path).stdout.splitlines()
    assert line.split("\t")[0] == str(tmp_path / r"two\nlines\t.flac")
    (tmp_path / "bad\n.wav").write_text("x")
    assert all(
        line.startswith((str(tmp_path), "Warning: ", "Error: ", "no calibration: "))
        for line in run("--run", linear, tmp_path).stderr.splitlines()
    )


def test_help_shows_examples_and_waits_for_neither_torch_nor_transformers():
    code = (
        "import sys, detect\ntry:\n    detect.main(['--help'])\nfinally:\n"
        "    print(sorted({'torch', 'transformers', 'matplotlib', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "  python detect.py --run runs/lcnn sample.wav recordings/\n" in done.stdout
    assert done.stdout.endswith("[]\n")


# Logits of the original networks with their published weights on three utterances, in float32 (issue 4).
ANCHORS = {
    "AASIST": {"LA_D_1003356": -6.7869, "LA_E_6163791": -9.0569, "LA_T_1272637": 5.2366},
    "AASIST-L": {"LA_D_1003356": -7.1151, "LA_E_6163791": -10.7682, "LA_T_1272637": 6.8474},
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", ANCHORS)
def test_published_weights_give_the_originals_logits_through_both_forms(shared, tmp_path, name):
    from spoofcache.tools.import_checkpoint import main as import_checkpoint

    backend, checkpoint = name.lower().replace("-", "_"), shared / "weights" / f"{name}.pth"
    folder = shared / "data/asvspoof2019_la/flac"
    options = ["--backend", backend, "--in", str(checkpoint), "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(import_checkpoint, options).exit_code == 0
    inputs = [option for path in sorted(folder.iterdir()) for option in ("--input", path)]
    by_run = scores(run("--run", tmp_path / "run", folder, "--score", "bonafide-logit"))
    by_model = scores(run("--model", backend, "--checkpoint", checkpoint, *inputs, "--score", "bonafide-logit"))
    assert by_run == by_model
    assert by_run == pytest.approx({f"{utt_id}.flac": logit for utt_id, logit in ANCHORS[name].items()}, abs=1e-3)
