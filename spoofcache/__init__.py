"""SpoofCache: run the expensive speech model once, and make every countermeasure experiment after that cheap."""

from pathlib import Path

__version__ = "0.2.0"

if (Path(__file__).parent / "common").is_file():  # git wrote the links as text files (core.symlinks=false)
    raise ImportError(
        f"{Path(__file__).parent} should hold symbolic links, but this clone was made without them; expected a clone "
        "made with `git clone -c core.symlinks=true` on a file system that has symbolic links"
    )
