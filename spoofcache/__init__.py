"""SpoofCache: run the expensive speech model once, and make every countermeasure experiment after that cheap.

The names of `PUBLIC` are the interface for notebooks and programs, `spoofcache.load_run` for example; docs/library.md
shows them at work. Each is imported when it is first used, so that `import spoofcache` takes no time.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.2.0"

if (Path(__file__).parent / "common").is_file():  # git wrote the links as text files (core.symlinks=false)
    raise ImportError(
        f"{Path(__file__).parent} should hold symbolic links, but this clone was made without them; expected a clone "
        "made with `git clone -c core.symlinks=true` on a file system that has symbolic links"
    )

PUBLIC = {
    "CachedFeatures": "features.dataset",
    "LoadedRun": "engine.loaded_run",
    "load_run": "engine.loaded_run",
    "load_waveform": "features.waveform",
    "read_scores": "metrics.score_files",
    "CmScores": "metrics.scores",
    "det_curve": "metrics.det",
    "equal_error_rate": "metrics.det",
    "min_dcf": "metrics.dcf",
    "BackendOutput": "models.output",
    "Objective": "models.objective",
    "FrontEnd": "features.frontends.base",
    "FrontEndOptions": "features.frontends.base",
    "Effect": "features.augment.base",
    "Corpus": "protocols.corpus",
    "Location": "protocols.corpus",
    "Trial": "protocols.trial",
    "InputError": "common.errors",
}
"""Public name → the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the public names are {', '.join(PUBLIC)}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
