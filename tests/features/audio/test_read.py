"""What is read, in which formats, and what is refused: each kind of file that people have, made here."""

import struct

import numpy as np
import pytest
import soundfile

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.features.audio.read import read_audio, read_header
from spoofcache.features.audio.result import AudioError, Wish
from spoofcache.features.waveform import load_recording, load_waveform

BY_LIBSNDFILE = {
    "a.flac": {},
    "a.wav": {},
    "a.rf64": {},
    "a.w64": {},
    "a.aiff": {},
    "a.au": {},
    "a.caf": {},
    "a.ogg": {},
    "a.sph": {"format": "NIST"},
    "a.oga": {"format": "OGG", "subtype": "VORBIS"},
    "a.opus": {"format": "OGG", "subtype": "OPUS"},
    "a.aifc": {"format": "AIFF", "subtype": "FLOAT"},
    "a.snd": {"format": "AU", "subtype": "ULAW"},
    "ima.wav": {"subtype": "IMA_ADPCM"},
    "gsm.wav": {"subtype": "GSM610"},
    "mp3.mp3": {},
}
BY_FFMPEG = {
    "a.mp3": "libmp3lame",
    "a.m4a": "aac",
    "a.aac": "aac",
    "a.mp4": "alac",
    "a.mov": "pcm_s16le",
    "a.webm": "libopus",
    "a.mka": "aac",
    "a.mkv": "libmp3lame",
    "mp3.wav": "libmp3lame",
    "ms.wav": "adpcm_ms",
    "flac.ogg": "flac",
    "a.g722": "g722",
    "a.wv": "wavpack",
    "a.tta": "tta",
    "a.mp2": "mp2",
    "a.avi": "libmp3lame",
}


def likeness(waveform, sound):
    """Correlation at the best lag within a tenth of a second."""
    n = len(sound) - 3_200
    middle = sound[1_600 : 1_600 + n]
    lags = (waveform[lag : lag + n] for lag in range(min(3_200, len(waveform) - n)))
    return max(np.corrcoef(middle, part)[0, 1] for part in lags)


@pytest.mark.parametrize("name", BY_LIBSNDFILE)
def test_what_libsndfile_writes_is_read(by_libsndfile, sound, name):
    path = by_libsndfile(name, **BY_LIBSNDFILE[name])
    waveform = load_waveform(path)
    assert abs(len(waveform) - len(sound)) < 700
    assert likeness(waveform, sound) > 0.9
    assert path.suffix in AUDIO_ENDINGS


@pytest.mark.parametrize("name", BY_FFMPEG)
def test_what_ffmpeg_writes_is_read(by_ffmpeg, sound, name):
    path = by_ffmpeg(name, BY_FFMPEG[name])
    recording = load_recording(path)
    assert abs(len(recording.waveform) - len(sound)) < 3_000
    assert likeness(recording.waveform, sound) > 0.8
    assert recording.is_whole
    assert path.suffix in AUDIO_ENDINGS


def test_the_format_of_a_file_is_not_taken_from_its_name(by_libsndfile, sound):
    path = by_libsndfile("a.flac")
    odd = path.rename(path.with_name("Ton\udce4\n.wav"))  # nor need it be UTF-8
    assert load_recording(odd).format == "FLAC PCM_16"
    np.testing.assert_allclose(load_waveform(odd), sound, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 6, 16])
def test_all_channels_are_averaged_by_either_decoder(by_libsndfile, sound, channels):
    samples = np.stack([sound * (index + 1) / channels for index in range(channels)], axis=1)
    path = by_libsndfile("a.wav", samples, subtype="FLOAT")
    np.testing.assert_allclose(load_waveform(path), samples.mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(load_waveform(path, channel=1), samples[:, 1])
    with pytest.raises(AudioError, match=f"^{path}: no channel {channels + 1}; the file has {channels}"):
        load_waveform(path, channel=channels)


def test_sixteen_channels_in_webm_are_read(tmp_path, sound):
    import av

    with av.open(str(tmp_path / "a.webm"), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="hexadecagonal")
        samples = np.repeat((sound[:16_000] * 32_767).astype(np.int16), 16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="hexadecagonal")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    np.testing.assert_allclose(load_waveform(tmp_path / "a.webm"), sound[:16_000], atol=1e-4)


# Lengths


def chain(data):
    """The frames of an MP3 file by its own headers (MPEG-2, layer III, 16 kHz: 576 samples)."""
    rates = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    at, frames = 0, []
    while at < len(data):
        assert data[at : at + 2] == b"\xff\xf3"
        size = 72_000 * rates[data[at + 2] >> 4] // 16_000 + (data[at + 2] >> 1 & 1)
        frames.append(data[at : at + size])
        at += size
    return frames


def test_an_mp3_without_a_header_is_read_to_its_end(by_libsndfile, changed):
    """A variable rate: the first frames say nothing of those that follow."""
    quiet_then_loud = np.concatenate([np.zeros(40_000), np.random.default_rng(1).uniform(-0.9, 0.9, 40_000)])
    whole = by_libsndfile("a.mp3", quiet_then_loud, compression_level=0.5, bitrate_mode="VARIABLE")
    frames = chain(whole.read_bytes())
    path = changed(whole, lambda data: b"".join(frames[1:]))
    assert len(load_waveform(path)) == 576 * (len(frames) - 1)


@pytest.mark.parametrize("between", [b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), b"TAG" + bytes(125)])
def test_mp3s_that_were_joined_are_read_to_the_end(by_libsndfile, changed, between):
    """As services for text to speech send them, the first one's header in front of all."""
    one = by_libsndfile("a.mp3")
    joined = changed(one, lambda data: data + between + data + between + data)
    assert abs(len(load_waveform(joined)) - 3 * len(load_waveform(one))) < 3 * 2_000


def test_an_mp3_may_have_a_picture_and_tags(by_libsndfile, changed):
    one = by_libsndfile("a.mp3")
    tag = b"ID3\x03\0\0\0\0\x20\0" + bytes(4_096)
    tagged = changed(one, lambda data: tag + data + b"APETAGEX" + struct.pack("<IIII", 2_000, 32, 0, 0) + bytes(8))
    np.testing.assert_array_equal(load_waveform(tagged), load_waveform(one))


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.aac", "aac"), ("a.mp2", "mp2")])
@pytest.mark.parametrize("damage", ["lost", "inserted", "header", "cut"])
def test_a_broken_chain_of_frames_is_refused(by_ffmpeg, changed, name, codec, damage):
    changes = {
        "lost": lambda data: data[:2_000] + data[2_050:],
        "inserted": lambda data: data[:2_000] + b"\x55" * 31 + data[2_000:],
        "header": lambda data: (
            data[:3] + bytes([data[3] ^ 0xFF]) + data[4:] if name == "a.aac" else b"\0\xfb" + data[2:]
        ),
        "cut": lambda data: data[:-5],
    }
    path = changed(by_ffmpeg(name, codec), changes[damage])
    with pytest.raises(AudioError, match=f"^{path}: (damaged|truncated|empty, truncated or not audio)"):
        load_waveform(path)


def wav_sizes(change):
    """A change of the sizes in a WAV header: `change` of the bytes there are → (RIFF's, data's)."""

    def apply(data):
        start = data.index(b"data")
        riff, size = change(len(data) - 8, len(data) - start - 8)
        return data[:4] + struct.pack("<I", riff) + data[8 : start + 4] + struct.pack("<I", size) + data[start + 8 :]

    return apply


@pytest.mark.parametrize("more", [1, 2, 8, 36, 44])
@pytest.mark.parametrize("both", [False, True])
def test_a_wav_header_that_is_a_few_bytes_too_long_is_noted(by_libsndfile, changed, sound, more, both):
    path = changed(by_libsndfile("a.wav"), wav_sizes(lambda riff, size: (riff + more * both, size + more)))
    recording = load_recording(path)
    assert len(recording.waveform) == len(sound)
    assert recording.notes == (f"its header states {more} bytes more than there are",)


def test_a_wav_header_that_is_further_off_is_refused(by_libsndfile, changed):
    path = changed(by_libsndfile("a.wav"), wav_sizes(lambda riff, size: (riff, size + 46)))
    with pytest.raises(AudioError, match=rf"^{path}: truncated; expected 64046 bytes of samples, found 64000$"):
        load_waveform(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:9_000] + b"\x12" * 101 + data[9_000:],
        lambda data: data[:9_000] + data[9_001:],
        lambda data: data[:24] + struct.pack("<I", 16_001) + data[28:],
        lambda data: data[:22] + struct.pack("<H", 3) + data[24:],
    ],
    ids=["inserted", "lost", "rate", "channels"],
)
def test_a_wav_whose_bytes_contradict_its_header_is_refused(by_libsndfile, changed, change):
    path = changed(by_libsndfile("a.wav"), change)
    with pytest.raises(AudioError, match=f"^{path}: (damaged|truncated); "):
        load_waveform(path)


def test_a_tag_or_a_description_behind_the_samples_is_no_damage(by_libsndfile, changed, sound):
    for rest in (b"TAG" + bytes(125), b"LIST" + struct.pack("<I", 26) + b"INFO" + bytes(22), b"\0"):
        assert len(load_waveform(changed(by_libsndfile("a.wav"), lambda data, rest=rest: data + rest))) == len(sound)


@pytest.mark.parametrize("rate", [1, 999, 800_000])
def test_a_rate_that_no_recording_has_is_refused_before_memory_is_taken(by_libsndfile, rate):
    path = by_libsndfile("a.wav", np.zeros(40_000), rate)
    with pytest.raises(AudioError, match=f"^{path}: sample rate {rate} Hz; expected 1000 to 768000 Hz"):
        load_waveform(path)


@pytest.mark.parametrize("value", [1e30, -3e38, 1e10])
def test_absurd_samples_are_refused(by_libsndfile, sound, value):
    samples = sound.copy()
    samples[77] = value
    path = by_libsndfile("a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"^{path}: samples as large as .*e\+\d\d; expected a full scale of ±1$"):
        load_waveform(path)


def test_what_the_length_rule_needs_is_the_beginning_of_the_whole(by_libsndfile):
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, (70 * 44_100, 2))
    path = by_libsndfile("a.wav", samples, 44_100)
    whole, part = load_recording(path), load_recording(path, at_most=64_600)
    assert whole.is_whole
    assert not part.is_whole
    np.testing.assert_array_equal(part.waveform, whole.waveform[:64_600])
    assert len(read_audio(path, Wish(seconds=4.0)).samples) == 60 * 44_100


def test_a_header_is_looked_at_without_decoding(by_libsndfile, by_ffmpeg):
    assert len(read_header(by_libsndfile("a.flac")).samples) == 0
    assert len(read_header(by_ffmpeg("a.m4a", "aac")).samples) < 2_100
    with pytest.raises(AudioError, match="no samples; expected a whole audio file"):
        read_header(by_libsndfile("b.wav", np.zeros(0)))


# Checksums


def test_no_flipped_bit_of_a_flac_is_believed(by_libsndfile, changed, sound):
    """Neither by libFLAC nor by FFmpeg behind it; where a flip harms no sample the samples are those of the whole."""
    path = by_libsndfile("a.flac")
    expected, size = load_waveform(path), path.stat().st_size
    refused = 0
    for place in np.random.default_rng(5).integers(0, size * 8, 60):
        flipped = changed(path, lambda data, place=place: flip(data, place))
        try:
            np.testing.assert_array_equal(load_waveform(flipped), expected)
        except AudioError:
            refused += 1
    assert refused > 50


def flip(data, place):
    return data[: place // 8] + bytes([data[place // 8] ^ 1 << place % 8]) + data[place // 8 + 1 :]


def test_a_flac_that_libflac_refuses_for_its_comments_is_read_by_ffmpeg(by_libsndfile, changed, sound):
    """Its comment block is longer than the comments in it, as encoders left it before libFLAC 1.4 took offence."""

    def longer(data):
        assert data[42] == 0x84  # the comments are the last block
        size = int.from_bytes(data[43:46], "big")
        return data[:43] + (size + 4).to_bytes(3, "big") + data[46 : 46 + size] + bytes(4) + data[46 + size :]

    path = by_libsndfile("a.flac")
    odd = changed(path, longer)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(odd)
    np.testing.assert_array_equal(load_waveform(odd), load_waveform(path))
    assert load_recording(odd).format == "FLAC flac"
    for place in range(3_000 * 8, 3_040 * 8, 7):
        with pytest.raises(AudioError, match="FFmpeg: "):
            load_waveform(changed(odd, lambda data, place=place: flip(data, place)))


@pytest.mark.parametrize("total", [1, 31_000, 33_000, 2**31, 2**36 - 1])
def test_a_flac_that_states_another_number_of_samples_is_refused(by_libsndfile, changed, total):
    def state(data):
        packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
        return data[:18] + packed.to_bytes(8, "big") + data[26:]

    path = changed(by_libsndfile("a.flac"), state)
    with pytest.raises(AudioError, match=f"^{path}: damaged or truncated; expected {total} samples"):
        load_waveform(path)


OGGS = [("a.ogg", None), ("a.opus", None), ("f.ogg", "flac")]


@pytest.fixture(params=OGGS, ids=[name for name, _ in OGGS])
def ogg(request, by_libsndfile, by_ffmpeg):
    name, codec = request.param
    return by_ffmpeg(name, codec) if codec else by_libsndfile(name, format="OGG", subtype=SUBTYPES[name])


SUBTYPES = {"a.ogg": "VORBIS", "a.opus": "OPUS"}


def test_no_flipped_bit_of_an_ogg_is_believed(ogg, changed):
    for place in np.random.default_rng(6).integers(0, ogg.stat().st_size * 8, 25):
        path = changed(ogg, lambda data, place=place: flip(data, place))
        with pytest.raises(AudioError, match=f"^{path}: (damaged|truncated|empty)"):
            load_waveform(path)


def test_an_ogg_that_lacks_a_page_is_refused(ogg, changed):
    data = ogg.read_bytes()
    starts = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    last, before = starts[-1], starts[-2]
    with pytest.raises(AudioError, match="truncated; its last page does not end the stream"):
        load_waveform(changed(ogg, lambda data: data[:last]))
    with pytest.raises(AudioError, match=r"damaged; page \d+ follows page \d+"):
        load_waveform(changed(ogg, lambda data: data[:before] + data[last:]))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libopus"), ("a.mka", "aac"), ("a.m4a", "aac"), ("a.wv", "wavpack")]
)
@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_container_that_was_cut_off_is_refused(by_ffmpeg, changed, name, codec, kept):
    path = changed(by_ffmpeg(name, codec), lambda data: data[: int(kept * len(data))])
    with pytest.raises(AudioError, match=f"^{path}: (damaged|truncated|no samples)"):
        load_waveform(path)


def test_an_mp4_with_its_header_in_front_that_was_cut_off_is_refused(by_ffmpeg, changed):
    path = by_ffmpeg("a.m4a", "aac", options={"movflags": "+faststart"})
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")
    with pytest.raises(AudioError, match=r"damaged|truncated"):
        load_waveform(changed(path, lambda data: data[:-3_000]))


# What is no audio, or not itself


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile a.flac\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
        "[playlist]\nFile1={}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
        "{}\n",
        "file:{}\n",
    ],
)
@pytest.mark.parametrize("name", ["b.wav", "b.m3u8", "b.mp3", "b.m4a", "b.g7"])
def test_a_text_that_names_another_file_is_refused(by_libsndfile, tmp_path, text, name):
    whole = by_libsndfile("a.flac")
    (tmp_path / name).write_text(text.format(whole))
    with pytest.raises(AudioError) as refusal:
        load_waveform(tmp_path / name)
    assert "expected the audio itself" in str(refusal.value) or "empty, truncated or not audio" in str(refusal.value)


def test_an_unknown_coding_is_a_sentence(by_libsndfile, changed):
    path = changed(by_libsndfile("a.wav"), lambda data: data[:20] + struct.pack("<H", 0x4321) + data[22:])
    with pytest.raises(AudioError, match=f"^{path}: .*FFmpeg: a codec that FFmpeg does not know"):
        load_waveform(path)


def test_a_file_that_may_not_be_read_says_so(by_libsndfile, monkeypatch):
    path = by_libsndfile("a.wav")

    def refuse(*args, **settings):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(AudioError, match=rf"^{path}: cannot be read \(Permission denied\); expected an audio file$"):
        load_waveform(path)


def test_a_rate_that_changes_within_a_file_is_refused(by_ffmpeg, changed):
    low, high = by_ffmpeg("a.mp3", "libmp3lame"), by_ffmpeg("b.mp3", "libmp3lame", rate=24_000)
    path = changed(low, lambda data: data + high.read_bytes())
    with pytest.raises(
        AudioError, match=r"16000 Hz, 1 channel becomes 24000 Hz, 1 channel at byte \d+; expected one form"
    ):
        load_waveform(path)
