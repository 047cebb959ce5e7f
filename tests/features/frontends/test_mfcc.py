"""MFCC against numbers computed by SpeechBrain (tests/golden/README.md)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.logmel import SPEECHBRAIN, LogMel
from spoofcache.features.frontends.mfcc import MFCC
from spoofcache.features.waveform import N_SAMPLES
from tests.features.frontends.test_logmel import CHANGES, INPUTS, REFERENCE
from tests.recipe import wave
from tests.rounding import input_tolerance


def mfcc(**changes):
    return MFCC(FrontEndOptions(), replace(SPEECHBRAIN, **changes))


@pytest.mark.parametrize("name", INPUTS)
def test_the_numbers_of_the_original_code(name):
    features = mfcc().extract(INPUTS[name])
    assert features.shape[1:] == (404, 80)
    tolerance = max(1e-3, input_tolerance(mfcc().extract, INPUTS[name]))
    np.testing.assert_allclose(features[:, REFERENCE["frames"]], REFERENCE[f"mfcc80/{name}"], rtol=0, atol=tolerance)


def test_silence_is_a_constant_spectrum():
    # 80 bands of −100 dB: √80 · −100 in coefficient 0 and nothing in the others
    features = mfcc().extract(torch.zeros(2, N_SAMPLES))
    expected = torch.zeros(2, 404, 80)
    expected[..., 0] = -894.4272
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-3)


def test_ten_times_louder_changes_only_the_first_coefficient():
    louder = mfcc().extract(10 * wave()) - mfcc().extract(wave())
    expected = torch.zeros(2, 404, 80)
    expected[..., 0] = 178.8854  # √80 · 20 dB
    torch.testing.assert_close(louder, expected, rtol=0, atol=1e-3)


def test_a_loud_utterance_does_not_change_a_quiet_one():
    waveforms = torch.cat((wave(), 1e-4 * wave(), torch.zeros(1, N_SAMPLES)))
    alone = torch.cat([mfcc().extract(waveform[None]) for waveform in waveforms])
    torch.testing.assert_close(mfcc().extract(waveforms), alone, rtol=0, atol=1e-3)


@pytest.mark.parametrize("n", [400, 16_000, 64_600])
def test_a_frame_every_ten_milliseconds(n):
    assert mfcc().row_shape(n) == (1 + n // 160, 80)


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_identity_and_numbers(setting):
    waveforms = wave()
    waveforms[:, 32_000:] = 0
    before, after = mfcc(), mfcc(**{setting: CHANGES[setting]})
    assert after.settings() != before.settings()
    assert not torch.equal(after.extract(waveforms), before.extract(waveforms))


def test_its_identity_differs_from_that_of_the_log_mel_energies():
    assert mfcc().settings() != LogMel(FrontEndOptions()).settings()
