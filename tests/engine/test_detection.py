from engine.detection import window_starts


def test_windows_cover_the_waveform_to_its_end():
    assert window_starts(10, 4, 3) == [0, 3, 6]
    assert window_starts(9, 4, 3) == [0, 3, 5]
    assert window_starts(4, 4, 3) == window_starts(2, 4, 3) == [0]
