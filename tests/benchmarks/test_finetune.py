"""The benchmark of fine-tuning runs in a small form. No timing."""

import json

from click.testing import CliRunner

from spoofcache.benchmarks.finetune import main


def test_prints_a_line_for_each_form_and_keeps_the_figures(tmp_path):
    small = ["--blocks", "2", "--width", "64", "--boundary", "1", "--batch-size", "1", "--steps", "1"]
    done = CliRunner().invoke(main, [*small, "--json", str(tmp_path / "figures.json")], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == ["waveform", "1"]
    forms = json.loads((tmp_path / "figures.json").read_text())["forms"]
    assert set(forms) == {"waveform", "1"}
    assert all(form["seconds"] > 0 and form["peak_bytes"] > 0 for form in forms.values())
