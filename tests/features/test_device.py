"""The way to the front-end and back, on the CPU and on a GPU; and what is reported about the pace."""

import numpy as np
import pytest
import torch

from spoofcache.features.device import Device, Pace, seconds_between
from tests.features.frames import Frames

CPU = torch.device("cpu")


class TestDevice:
    def test_features_come_back_in_the_stored_type_with_their_largest_magnitudes(self):
        waveforms = np.arange(-400, 400, dtype=np.float32).reshape(2, 400) / 3
        stored = Device(CPU, Frames().extract, "float16").launch(waveforms).wait()
        np.testing.assert_array_equal(stored.rows.numpy(), waveforms.reshape(2, 4, 100).astype("float16"))
        np.testing.assert_array_equal(stored.largest.numpy(), np.abs(waveforms).max(axis=1))

    def test_the_waveforms_may_be_overwritten_afterwards(self):
        waveforms = np.ones((1, 100), np.float32)
        launched = Device(CPU, Frames().extract, "float32").launch(waveforms)  # whose rows are its input
        waveforms[:] = 7
        assert (launched.wait().rows == 1).all()

    def test_stamps_measure_when_the_device_was_busy(self):
        device = Device(CPU, Frames().extract, "float32")
        before = device.stamp()
        launched = device.launch(np.ones((1, 100), np.float32))
        assert 0 <= seconds_between(before, launched.start) <= seconds_between(before, launched.stop)

    def test_a_gpu_gives_the_same(self, gpu):
        waveforms = np.random.default_rng(0).standard_normal((8, 400)).astype(np.float32)
        device = Device(gpu, Frames().extract, "float16")
        before = device.stamp()
        launched = [device.launch(waveforms * k) for k in range(5)]
        for k, one in enumerate(launched):
            np.testing.assert_array_equal(one.wait().rows.numpy().ravel(), (waveforms * k).astype("float16").ravel())
        assert seconds_between(before, launched[-1].stop) > 0

    def test_a_host_that_waits_for_a_gpu_sleeps(self, gpu, monkeypatch):
        event, blocking = torch.cuda.Event, []

        def recorded(*args, **options):
            blocking.append(options.get("blocking"))
            return event(*args, **options)

        monkeypatch.setattr(torch.cuda, "Event", recorded)
        Device(gpu, Frames().extract, "float16").launch(np.ones((1, 100), np.float32)).wait()
        assert blocking == [True, True, True]


class TestPace:
    def test_the_rate_and_the_reasons_of_waiting_are_reported(self):
        pace = Pace(utterances=500, seconds=10.0)
        pace.idle(1.0, {"decoding": 1.3, "writing": 0.1})
        pace.idle(0.5, {"decoding": 0.0, "writing": 0.6})
        sentence = "500 utterances at 50.0/s, the device waited 15% of the time (10% for decoding, 5% for writing)"
        assert str(pace) == sentence

    def test_waiting_for_neither_decoding_nor_writing_counts_as_launching(self):
        pace = Pace(utterances=500, seconds=10.0)
        pace.idle(1.0, {"decoding": 0.0, "writing": 0.0})
        pace.idle(1.0, {"decoding": 0.5, "writing": 0.2})
        assert pace.waited == pytest.approx({"decoding": 0.5, "writing": 0.2, "launching": 1.3})

    def test_a_reason_without_a_share_is_not_named(self):
        pace = Pace(utterances=500, seconds=10.0)
        pace.idle(-0.1, {"decoding": 0.3, "writing": 0.1})  # the clocks of two stamps may disagree a little
        assert str(pace) == "500 utterances at 50.0/s, the device waited 0% of the time"
