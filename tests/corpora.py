"""Small corpora and caches for tests: noise whose colour tells the class, written without the code under test's help
where that matters, and with the house's own writer where a cache is only a means."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spoofcache.common.files import Claim, atomic_path
from spoofcache.features.plan import FORMAT_VERSION, TRIALS, Identity, Plan, write_manifest
from spoofcache.features.store import ShardWriter
from spoofcache.protocols.snapshot import snapshot
from spoofcache.protocols.trial import Trial

IDENTITY = Identity(
    {
        "format_version": FORMAT_VERSION,
        "front_end": {"name": "test"},
        "sample_rate": 16_000,
        "n_samples": 64_600,
        "fit": "repeat",
        "dtype": "float16",
    }
)


def make_trials(n: int, prefix: str = "U") -> list[Trial]:
    """n trials, every third one bona fide, the others of attacks A01 and A02 in turn."""
    return [
        Trial(f"{prefix}_{i:04d}", "bonafide", speaker=f"S{i % 4}")
        if i % 3 == 0
        else Trial(f"{prefix}_{i:04d}", "spoof", f"A0{1 + i % 2}", f"S{i % 4}")
        for i in range(n)
    ]


def write_corpus(folder: Path, trials: Sequence[Trial], seconds: float = 0.5) -> tuple[Path, Path]:
    """A five-column protocol and a folder of FLACs; spoofs are white noise, bona fide is low-passed."""
    import soundfile  # here, so that a machine without it runs the tests that read no audio

    audio_dir, protocol = folder / "flac", folder / "protocol.txt"
    audio_dir.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    lines = []
    for trial in trials:
        noise = random.uniform(-0.5, 0.5, int(16_000 * seconds))
        if trial.key == "bonafide":
            noise = np.convolve(noise, np.ones(8) / 8, "same")
        soundfile.write(audio_dir / f"{trial.utt_id}.flac", noise, 16_000)
        lines.append(f"{trial.speaker} {trial.utt_id} - {trial.attack} {trial.key}\n")
    protocol.write_text("".join(lines))
    return protocol, audio_dir


def write_cache(
    folder: Path, trials: Sequence[Trial], rows: np.ndarray, identity: Identity = IDENTITY, corpus: str = "test"
) -> Path:
    """A complete cached partition that holds these rows [N, *row], in the identity's type."""
    folder.mkdir(parents=True)
    plan = Plan.make(corpus, folder.name, identity, trials, rows.shape[1:])
    with atomic_path(folder / TRIALS) as path:
        path.write_bytes(snapshot(trials))
    for index in range(plan.shard_count):
        claim = Claim.take(plan.shard_path(folder, index))
        assert claim is not None
        writer = ShardWriter(claim, plan, index)
        group = plan.group(index)
        writer.append([trial.utt_id for trial in trials[group]], rows[group].astype(identity.dtype))
        writer.commit()
    write_manifest(folder, plan, {})
    return folder


def separable_rows(trials: Sequence[Trial], shape: tuple[int, ...] = (32, 20), seed: int = 0) -> np.ndarray:
    """Features [N, *shape] whose classes differ in the first coefficients by two standard deviations."""
    rows = np.random.default_rng(seed).standard_normal((len(trials), *shape))
    rows[[trial.key == "bonafide" for trial in trials], :, :4] += 2
    return rows
