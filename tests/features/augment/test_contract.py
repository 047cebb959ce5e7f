"""What every effect owes: a pure function of (waveform, seed) that keeps the length, wherever it runs."""

import hashlib
import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spoofcache.features.augment import EFFECTS, parse_effect
from tests.features.augment.signals import ONE_OF_EACH, voice

ROOT = Path(__file__).parents[3]
MORE = [f"rawboost:{algorithm}" for algorithm in range(1, 9)] + [
    f"codec:{name}" for name in ("aac", "opus", "g722", "alaw", "mulaw")
]
WITHOUT_CHANCE = {"codec:g722", "codec:alaw", "codec:mulaw"}


def impulse(n):
    waveform = np.zeros(n, np.float32)
    waveform[n // 3] = 1
    return waveform


EDGES = {
    "silence": np.zeros(8_000, np.float32),
    "impulse": impulse(8_000),
    "full scale": np.sign(voice(8_000) + np.float32(1e-6)),
    "one frame": voice(400),
    "one silent frame": np.zeros(400, np.float32),
    "odd": voice(8_001),
}


@pytest.fixture(params=dict.fromkeys((*ONE_OF_EACH, *MORE)))
def spelling(request, recordings):
    return request.param.format(folder=recordings)


@pytest.fixture
def effect(spelling):
    return parse_effect(spelling)


def test_every_effect_is_tested_here():
    assert {spelling.partition(":")[0] for spelling in ONE_OF_EACH} == set(EFFECTS)


@pytest.mark.parametrize("waveform", EDGES.values(), ids=EDGES)
def test_length_and_type_are_kept_and_every_sample_is_a_number(effect, waveform):
    before = waveform.copy()
    for seed in (0, 1):
        augmented = effect(waveform, seed)
        assert augmented.dtype == np.float32
        assert augmented.shape == waveform.shape
        assert np.isfinite(augmented).all()
        assert np.abs(augmented).max() < 10
        assert not np.shares_memory(augmented, waveform)
    np.testing.assert_array_equal(waveform, before)


def test_the_seed_alone_decides(effect, spelling):
    waveform = voice()
    first, again, *others = (effect(waveform, seed) for seed in (0, 0, 1, 2, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert all(np.array_equal(first, other) for other in others) == (spelling in WITHOUT_CHANCE)
    assert not np.array_equal(first, waveform)


def test_the_global_generators_stay_as_they_were(effect):
    before = random.getstate(), np.random.get_state()
    effect(voice(8_000), 0)
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(), before[1])


def test_the_global_generators_do_not_change_the_result(effect):
    random.seed(1)
    np.random.seed(1)
    first = effect(voice(8_000), 0)
    random.seed(2)
    np.random.seed(2)
    np.testing.assert_array_equal(first, effect(voice(8_000), 0))


def test_four_threads_give_what_one_gives(effect):
    waveform, seeds = voice(8_000), range(8)
    one_by_one = [effect(waveform, seed) for seed in seeds]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda seed: effect(waveform, seed), seeds))
    np.testing.assert_array_equal(at_once, one_by_one)


def digests(spellings):
    """SHA-256 of what each makes of four seconds, long enough for BLAS to share the work."""
    waveform = voice(64_600)
    return {each: hashlib.sha256(parse_effect(each)(waveform, 5).tobytes()).hexdigest() for each in spellings}


ELSEWHERE = """
import json, sys
from tests.features.augment.test_contract import digests
print(json.dumps(digests(sys.argv[1:])))
"""


@pytest.mark.parametrize("n_threads", ["1", "4"])
def test_another_process_with_other_threads_gives_the_same(recordings, n_threads):
    spellings = [spelling.format(folder=recordings) for spelling in (*ONE_OF_EACH, *MORE)]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PRA_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, n_threads), "PYTHONHASHSEED": n_threads}
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, *spellings]
    there = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(there.stdout) == digests(spellings)


def test_importing_the_effects_waits_for_no_heavy_library():
    heavy = "{'scipy', 'librosa', 'numba', 'audiomentations', 'pyroomacoustics', 'torch'}"
    command = f"import sys, spoofcache.features.augment; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
