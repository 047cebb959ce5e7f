"""The generated audio beside this script: a gliding harmonic tone for bona fide, a constant for spoof, in quiet noise.

Run in an empty folder it writes `flac/` and the protocols. It uses none of the project's code.
"""

from pathlib import Path

import numpy as np
import soundfile

N_SAMPLES, RATE = 3_200, 16_000
random = np.random.default_rng(2026)
time = np.arange(N_SAMPLES) / RATE
folder = Path("flac")
folder.mkdir(exist_ok=True)
for partition, n in (("train", 6), ("dev", 6), ("eval", 7)):
    lines = []
    for i in range(n):
        utterance, is_bonafide = f"FE_{partition[0].upper()}_{i:04d}", i % 2 == 0
        pitch = random.uniform(100, 220)
        glide = 1 + 0.15 * np.sin(2 * np.pi * random.uniform(3, 6) * time + random.uniform(0, 6)) if is_bonafide else 1
        phase = 2 * np.pi * np.cumsum(pitch * glide) / RATE  # of a spoof a single number
        harmonics = [np.sin(k * phase + (random.uniform(0, 6) if is_bonafide else 0)) / k for k in range(1, 12)]
        samples = 0.006 * sum(harmonics) + 0.00015 * random.standard_normal(N_SAMPLES)
        if utterance == "FE_E_0006":
            (folder / f"{utterance}.flac").write_text("no audio\n")
        else:
            soundfile.write(folder / f"{utterance}.flac", np.round(samples * 32_768).astype(np.int16), RATE)
        attack, key = ("-", "bonafide") if is_bonafide else (f"A0{1 + i // 2 % 2}", "spoof")
        lines.append(f"S{i % 3} {utterance} - {attack} {key}\n")
    Path(f"{partition}.txt").write_text("".join(lines))
