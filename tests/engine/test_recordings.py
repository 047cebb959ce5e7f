import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spoofcache.engine.recordings import (
    Judgement,
    Scored,
    Track,
    as_csv,
    as_json,
    find_recordings,
    name_pictures,
    one_line,
)
from spoofcache.features.waveform import AudioError

TRACK = Track(np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.array([0.5, -1.5]))


def test_a_score_is_the_mean_over_the_windows_and_the_threshold_itself_is_bona_fide():
    for threshold, decision in ((-0.5, "bonafide"), (-0.4, "spoof")):
        (row,) = Scored({Path("a.wav"): TRACK}, {}, 32_000, 16_000, Judgement(threshold)).table()
        assert row == {"path": Path("a.wav"), "score": -0.5, "decision": decision}


def test_csv_and_json_of_two_files_by_hand():
    scored = Scored({Path("a,b.wav"): TRACK}, {Path("c.wav"): "empty"}, 32_000, 16_000)
    assert as_csv(scored) == 'path,score\n"a,b.wav",-0.5\n'
    assert json.loads(as_json(scored, {"run": Path("r")}, {Path("a,b.wav"): Path("p/1.png")})) == {
        "run": "r",
        "threshold": None,
        "window_seconds": 2.0,
        "hop_seconds": 1.0,
        "files": [
            {
                "path": "a,b.wav",
                "score": -0.5,
                "windows": [{"start": 0.0, "end": 2.0, "score": 0.5}, {"start": 1.0, "end": 3.0, "score": -1.5}],
                "picture": "p/1.png",
            }
        ],
        "unusable": [{"path": "c.wav", "reason": "empty"}],
    }


def test_files_of_one_name_get_pictures_of_their_own():
    named = name_pictures(Path("p"), [Path("a/x.wav"), Path("b/x.wav"), Path("b/x.flac")])
    assert [path.name for path in named.values()] == ["x.wav.png", "x.wav-2.png", "x.flac.png"]


def test_a_file_is_taken_whatever_its_ending_and_a_folder_needs_audio(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert find_recordings([tmp_path / "notes.txt"] * 2) == [tmp_path / "notes.txt"]
    with pytest.raises(AudioError, match=r"no audio file in it; expected \.flac, \.wav"):
        find_recordings([tmp_path])


def test_results_are_written_without_importing_torch():
    code = "import sys, spoofcache.engine.recordings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_a_path_that_a_spreadsheet_would_run_is_text():
    scored = Scored({Path("=1+1.wav"): TRACK}, {}, 32_000, 16_000, Judgement(0.0))
    assert as_csv(scored) == "path,score,decision\n'=1+1.wav,-0.5,spoof\n"


def test_a_name_stays_on_its_line_and_is_displayed_in_its_order():
    assert one_line("a\nb\u2028c\u202ed\x1b") == r"a\nb\u2028c\u202ed\x1b"
    assert one_line("J\u00fcrgen \U0001f469\u200d\U0001f3a4") == "J\u00fcrgen \U0001f469\u200d\U0001f3a4"
