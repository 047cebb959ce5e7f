"""SpeechFake: an experiment's CSV and files that lie in folders of systems."""

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.speechfake import read_protocol
from spoofcache.protocols.trial import Trial

CSV = ",file,label,language\n0,BD/VITS/LJSpeech/a.wav,spoof,en\n1,Real/LJSpeech/a.wav,bonafide,en\n"


def test_the_utterance_is_the_path_for_names_recur_and_the_system_is_a_condition(write):
    assert read_protocol(write(CSV)) == [
        Trial("BD/VITS/LJSpeech/a", "spoof", conditions={"language": "en", "set": "BD", "system": "VITS"}),
        Trial("Real/LJSpeech/a", "bonafide", conditions={"language": "en"}),
    ]


def test_files_in_other_folders_have_no_system(write):
    spoof, flat = read_protocol(write("file,label\nfakes/VITS/a.wav,spoof\na.wav,spoof\n"))
    assert (spoof.conditions, flat.conditions) == ({}, {})


def test_the_audio_lies_below_the_data_root(tmp_path, write):
    audio = tmp_path / "data/BD/VITS/LJSpeech/a.wav"
    audio.parent.mkdir(parents=True)
    audio.touch()
    spoof, bonafide = load_trials("speechfake", Location(protocol=write(CSV), audio_dir=tmp_path / "data"), "train")
    assert (spoof.path, bonafide.path) == (audio, None)


def test_the_key_is_not_written_with_a_hyphen(refusal):
    told = refusal(read_protocol, CSV.replace("bonafide", "bona-fide"))
    assert told == "FILE:3: key 'bona-fide'; expected bonafide or spoof"
