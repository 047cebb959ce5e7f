"""What a dry run says of the time: it is measured on batches as an extraction makes them."""

from dataclasses import replace

import pytest

from spoofcache.features import estimate as module
from spoofcache.features.estimate import Speed, measure_speed, measure_speed_on_noise
from tests.features.frames import OPTIONS, Frames


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)


def test_every_measured_batch_is_full_even_of_a_corpus_of_few_files(corpus):
    trials = [replace(trial, path=None) if index == 0 else trial for index, trial in enumerate(corpus(3))]
    frontend = Frames()
    speed = measure_speed(trials, frontend, OPTIONS)
    assert frontend.batches == [OPTIONS.batch_size] * (1 + module.LEAST_BATCHES)
    assert speed.rate > 0
    assert speed.first > 0


def test_there_is_no_speed_without_usable_audio(corpus):
    trials = corpus(2)
    assert measure_speed([replace(trial, path=None) for trial in trials], Frames(), OPTIONS) is None
    for trial in trials:
        trial.path.write_text("no audio")
    assert measure_speed(trials, Frames(), OPTIONS) is None


def test_noise_takes_the_place_of_audio_that_is_not_there():
    frontend = Frames()
    assert measure_speed_on_noise(frontend, OPTIONS).rate > 0
    assert set(frontend.batches) == {OPTIONS.batch_size}


def test_the_first_batch_counts_once_in_the_time_of_all():
    speed = Speed(batch_size=8, first=20.0, rate=2.0)
    assert speed.seconds(8) == 20.0
    assert speed.seconds(48) == 40.0
    assert speed.seconds(3) == 20.0
