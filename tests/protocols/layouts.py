"""Every corpus of the registry in small: files named and laid out as in the real one, the audio left empty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

from spoofcache.protocols import Location


@dataclass(frozen=True)
class Layout:
    """Tables and audio files of a corpus, by their paths, and what the user says of it."""

    partition: str
    tables: Mapping[str, str]
    audio: tuple[str, ...]
    where: Mapping[str, str] = field(default_factory=lambda: {"root": "."})
    columns: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Location:
        """Write it below a folder; where it lies then."""
        for name, content in {**self.tables, **dict.fromkeys(self.audio, "")}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return self.locate(folder)

    def locate(self, folder: Path) -> Location:
        """Where it lies below a folder."""
        return Location(**{option: folder / name for option, name in self.where.items()}, columns=self.columns)


MLAAD_HEADER = (
    "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript\n"
)


class Packed(Layout):
    """A Parquet file, which has the audio inside."""

    def write(self, folder: Path) -> Location:
        audio = [{"bytes": b"", "path": name} for name in self.audio]
        table = pyarrow.table({"audio": audio, "label": ["genuine", "fake"], "language": ["de", "en"]})
        pyarrow.parquet.write_table(table, folder / self.where["protocol"])
        return self.locate(folder)


LAYOUTS: Mapping[str, Layout] = {
    "parquet": Packed("train", {}, ("a 1.flac", "b/a 1.flac"), {"protocol": "train.parquet"}),
    "asvspoof19_la": Layout(
        "dev",
        {
            "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.dev.trl.txt": "LA_0069 LA_D_1 - - bonafide\n"
            "LA_0070 LA_D_2 - A01 spoof\n"
        },
        ("ASVspoof2019_LA_dev/flac/LA_D_1.flac", "ASVspoof2019_LA_dev/flac/LA_D_2.flac"),
    ),
    "asvspoof19_pa": Layout(
        "train",
        {
            "ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.train.trn.txt": "PA_0079 PA_T_1 aaa - bonafide\n"
            "PA_0080 PA_T_2 abc AB spoof\n"
        },
        ("ASVspoof2019_PA_train/flac/PA_T_1.flac", "ASVspoof2019_PA_train/flac/PA_T_2.flac"),
    ),
    "asvspoof21_la": Layout(
        "eval",
        {
            "keys/LA/CM/trial_metadata.txt": "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval\n"
            "LA_0020 LA_E_2 g722 loc_tx bonafide bonafide notrim eval\n"
            "LA_0020 LA_E_3 none - bonafide bonafide notrim progress\n"
        },
        tuple(f"ASVspoof2021_LA_eval/flac/LA_E_{i}.flac" for i in (1, 2, 3)),
    ),
    "asvspoof21_df": Layout(
        "eval",
        {
            "keys/DF/CM/trial_metadata.txt": "TEF2 DF_E_1 low_m4a vcc2020 Task1-team20 spoof notrim eval "
            "neural_vocoder_nonautoregressive Task1 team20 FF E\n"
            "LA_1 DF_E_2 nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -\n"
            "LA_1 DF_E_3 mp3m4a asvspoof A14 spoof notrim hidden traditional_vocoder - - - -\n"
        },
        tuple(f"ASVspoof2021_DF_eval/flac/DF_E_{i}.flac" for i in (1, 2, 3)),
    ),
    "asvspoof21_pa": Layout(
        "eval",
        {
            "keys/PA/CM/trial_metadata.txt": "PA_1 PA_E_1 R5 M2 d3 r4 m1 s2 c3 spoof notrim eval\n"
            "PA_2 PA_E_2 R5 M2 D3 - - - - bonafide notrim eval\n"
        },
        ("ASVspoof2021_PA_eval/flac/PA_E_1.flac", "ASVspoof2021_PA_eval/flac/PA_E_2.flac"),
    ),
    "asvspoof5": Layout(
        "eval",
        {
            "ASVspoof5.eval.track_1.tsv": "E_1 E_0000000001 F C07 3 E_0000000009 AC2 A30 spoof -\n"
            "E_2 E_0000000002 M - - - - bonafide bonafide -\n"
        },
        ("flac_E_eval/E_0000000001.flac", "flac_E_eval/E_0000000002.flac"),
    ),
    "in_the_wild": Layout(
        "eval",
        {"meta.csv": "file,speaker,label\n0.wav,Alec Guinness,spoof\n4.wav,Ronald Reagan,bona-fide\n"},
        ("0.wav", "4.wav"),
    ),
    "fake_or_real": Layout(
        "eval",
        {},
        (
            "for-norm/testing/fake/file9273.mp3.wav_16k.wav_norm.wav_mono.wav_silence.wav",
            "for-norm/testing/real/file4.wav_16k.wav_norm.wav_mono.wav_silence.wav",
            "for-norm/training/real/file5.wav_16k.wav_norm.wav_mono.wav_silence.wav",
        ),
        {"root": "for-norm"},
    ),
    "speechfake": Layout(
        "test",
        {
            "metadata/experiments/baseline/test.csv": ",file,label,language,generator\n"
            "0,BD/Tacotron 2/LJSpeech/u1.wav,spoof,en,tts-1\n"
            "1,BD/VITS/AISHELL/u1.wav,spoof,zh,tts-2\n"
            "2,Real/LJSpeech/u1.wav,bonafide,en,bona-fide\n"
        },
        ("BD/Tacotron 2/LJSpeech/u1.wav", "BD/VITS/AISHELL/u1.wav", "Real/LJSpeech/u1.wav"),
        {"protocol": "metadata/experiments/baseline/test.csv", "audio_dir": "."},
    ),
    "wavefake": Layout(
        "train",
        {},
        (
            "WaveFake/generated_audio/ljspeech_melgan/LJ001-0001_gen.wav",
            "WaveFake/generated_audio/jsut_multi_band_melgan/BASIC5000_0001_gen.wav",
            "WaveFake/generated_audio/conformer_tts/gen_0.wav",
            "LJSpeech-1.1/wavs/LJ001-0001.wav",
        ),
        {"root": "WaveFake", "bonafide_dir": "LJSpeech-1.1"},
    ),
    "mlaad": Layout(
        "train",
        {
            "MLAAD/fake/de/griffin_lim/meta.csv": MLAAD_HEADER
            + "./fake/de/griffin_lim/a.wav|de_DE/by_book/male/x/y/wavs/a.wav|de|True|3.2|mailabs|gl|Griffin Lim|"
            '"Nein, sagte er.\n',
            "MLAAD/fake/en/OpenAI TTS-1 HD/meta.csv": MLAAD_HEADER
            + "./fake/en/OpenAI TTS-1 HD/a.wav|en_US/by_book/male/x/y/wavs/a.wav|en|True|3.2|-|tts-1-hd|-|Yes.\n",
        },
        (
            "MLAAD/fake/de/griffin_lim/a.wav",
            "MLAAD/fake/en/OpenAI TTS-1 HD/a.wav",
            "M-AILABS/en_US/by_book/female/mary_ann/midnight/wavs/a.wav",
        ),
        {"root": "MLAAD", "bonafide_dir": "M-AILABS"},
    ),
    "codecfake": Layout(
        "C2",
        {"label/C2.txt": "SSB00050001.wav real 0\nF02_SSB00050001.wav fake 2\n"},
        ("test/C2/SSB00050001.wav", "test/C2/F02_SSB00050001.wav"),
    ),
    "codecfake_tseng": Layout(
        "train",
        {},
        ("CodecFake/processed/EnCodec+p225_001.wav", "VCTK/wav48/p225/p225_001.wav", "VCTK/wav48/p225/noise.wav"),
        {"root": "CodecFake", "bonafide_dir": "VCTK"},
    ),
    "asvspoof19_style": Layout(
        "train",
        {"protocol.txt": "S1 u - - bonafide\nS1 v - A01 spoof\n"},
        ("flac/u.flac", "flac/v.wav"),
        {"protocol": "protocol.txt", "audio_dir": "flac"},
    ),
    "csv": Layout(
        "train",
        {"my.csv": "path,class,compression,label\nhome/u 1.wav,human,mp3,x\nweb/u.wav,fake,opus,x\n"},
        ("wav/home/u 1.wav", "wav/web/u.wav"),
        {"protocol": "my.csv", "audio_dir": "wav"},
        {"file": "path", "label": "class", "codec": "compression"},
    ),
    "folders": Layout(
        "train",
        {"README.txt": "notes"},
        ("genuine/a.wav", "fake/Tacotron 2/a.wav", "fake/b.wav"),
    ),
}
