"""Deterministic algorithms on a GPU, for as long as a training runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spoofcache.engine.about import RunError, first_line

WORKSPACE = ":4096:8"
"""Workspace of cuBLAS with which its results do not depend on what else runs on the GPU."""


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """While the block runs, let torch use only algorithms that give the same numbers every time, if that is wanted.

    The workspace of cuBLAS is set in the environment, which counts for a process that has not used a GPU yet.

    Raises:
        RunError: an operator of the network has no such algorithm.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise RunError(
            f"train.deterministic: {first_line(error)} Expected a network without this operator, or "
            "train.deterministic=false, with which repeated trainings agree up to rounding"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
