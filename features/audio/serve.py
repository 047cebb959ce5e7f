"""The process in which files are decoded; `isolated` starts it, and survives it if a file crashes a decoder.

When run as a module, it decodes the files that standard input names until that ends, and writes each answer as a line
of JSON followed by the samples. Nothing here imports torch, and FFmpeg is imported when a file needs it, so that the
process starts in a tenth of a second.
"""

import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # noqa: F401 (now, so that a missing library is not blamed on the first file)

from spoofcache.common.workers import serve
from spoofcache.features.audio import first
from spoofcache.features.audio.kinds import Kind
from spoofcache.features.audio.result import AudioError, Decoded, Wish, audio_errors

SECONDS = 60
"""Limit of processor time, in seconds, for a file and for each 64 MiB of it; a file that takes longer is rejected."""


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], memoryview | bytes]:
    """Answer a request of `isolated`: a description of what was decoded and its samples, or the error."""
    try:
        with audio_errors():
            _limit_time(request["path"])
            decoded = _decode(**request)
    except first.Unfit as refusal:
        return {"unfit": str(refusal)}, b""
    except AudioError as error:
        return {"error": str(error)}, b""
    samples = np.ascontiguousarray(decoded.samples, "<f4")
    return {**decoded._asdict(), "samples": len(samples)}, samples.view(np.uint8).data


def _decode(decoder: str, **request: Any) -> Decoded:
    if decoder == "first":
        return first.decode(Path(request["path"]), Kind(*request["kind"]), Wish(*request["wish"]))
    from spoofcache.features.audio import second

    return second.decode(second.Request(**request))


def _limit_time(path: str) -> None:
    """Make the system end this process if the next file takes far more processor time than any valid file."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + SECONDS * (1 + os.path.getsize(path) // 2**26)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if most == resource.RLIM_INFINITY else min(seconds, most), most))


if __name__ == "__main__":
    serve(answer)
