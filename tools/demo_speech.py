"""Get speech for the demonstration: recorded prompts from Debian, or else built-in artificial voices.

The prompts are those of the Asterisk telephone exchange: about 2,800 recordings of four people in five languages, in
Debian packages that apt-get downloads without root. If that fails, artificial voices are used, and the output says so.
"""

import spoofcache.common.signals  # noqa: F401

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from spoofcache.common import cli
from spoofcache.common.files import new_folder

PACKAGES = tuple(f"asterisk-core-sounds-{language}-g722" for language in ("en", "fr", "it", "es", "ru"))
SOUNDS = Path("usr/share/asterisk/sounds")
APT_SECONDS = 180
BUILTIN_RECORDINGS = 130
"""Recordings of each artificial speaker: enough for the demo in its full form."""

CREDITS = """Recorded prompts of the Asterisk telephone exchange, from the Debian packages
{packages}

Their authors, sponsors and licences, in the words of the packages:

"""

EXAMPLES = """\b
Example:
  python tools/demo_speech.py --out demo/speech
"""


class Speech(NamedTuple):
    """A folder of speech and its description."""

    folder: Path
    """Folder with a subfolder for each speaker."""
    label: str
    """Short name that is used in folder names: `debian`, `built-in` or the name of the given folder."""
    description: str
    """One sentence for the user."""


class Unavailable(Exception):
    """The prompts from Debian are not available; the message says why."""


def obtain(root: Path) -> Speech:
    """The prompts from Debian below `root`, or else the built-in voices. The result of an earlier call is reused."""
    prompts, builtin = root / "debian", root / "built-in"
    reason = "the prompts from Debian were not available earlier"
    if not prompts.exists() and not builtin.exists():
        try:
            with new_folder(prompts) as folder:
                fetch_prompts(folder)
        except Unavailable as error:
            reason = str(error)
            with new_folder(builtin) as folder:
                _make_builtin(folder)
    if prompts.exists():
        voices = ", ".join(sorted(path.name for path in prompts.iterdir() if path.is_dir()))
        return Speech(
            prompts,
            "debian",
            f"recorded human speech: telephone prompts from Debian (voices: {voices}); credits in "
            f"{prompts / 'CREDITS.txt'}",
        )
    return Speech(
        builtin,
        "built-in",
        f"NOT human speech: built-in artificial voices in {builtin}, because {reason}. Delete that folder to try "
        "again, or pass recordings of your own",
    )


def _make_builtin(folder: Path) -> None:
    from spoofcache.tools.demo_corpus.builtin_voice import SPEAKERS, write_speaker  # slow to import and rarely needed

    (folder / "README.txt").write_text("NOT human speech: babble of the artificial voices of SpoofCache.\n")
    with cli.progress("Making artificial voices", len(SPEAKERS)) as advance:
        for name in SPEAKERS:
            write_speaker(folder, name, BUILTIN_RECORDINGS)
            advance(1)


def fetch_prompts(folder: Path) -> None:
    """Download and unpack the packages, and write `<voice>/<language>/…` and CREDITS.txt into `folder`.

    Raises:
        Unavailable: apt-get is missing, or the packages that it downloads do not contain two voices.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise Unavailable(f"there is no {tool} on this machine")
    with tempfile.TemporaryDirectory(prefix="prompts-") as work:
        unpacked = Path(work) / "unpacked"
        for package in _download(Path(work)):
            # a package that cannot be unpacked is skipped; `arrange` checks that enough voices remain
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=False, capture_output=True)
        arrange(unpacked, folder)


def _download(work: Path) -> list[Path]:
    """Download the packages into `work`; returns those that succeeded."""
    with cli.progress("Downloading prompts", len(PACKAGES)) as advance:
        error = _apt(work, ["download", *PACKAGES])
        advance(len(PACKAGES) - len(_missing(work)))
        if _missing(
            work
        ):  # the package lists of this machine are missing or outdated: make a private copy, which needs no root
            lists = work / "lists"
            (lists / "partial").mkdir(parents=True)
            error = _apt(work, [f"-oDir::State::Lists={lists}", "update"])
            for package in _missing(work):  # one by one, so that a missing package does not prevent the others
                complaint = _apt(work, [f"-oDir::State::Lists={lists}", "download", package])
                error = error or complaint
                advance(package not in _missing(work))
    found = sorted(work.glob("*.deb"))
    if not found:
        raise Unavailable(f"apt-get downloaded none of the prompts ({error})")
    return found


def _missing(work: Path) -> list[str]:
    return [package for package in PACKAGES if not any(work.glob(f"{package}_*.deb"))]


def _apt(work: Path, arguments: Sequence[str]) -> str:
    """Run apt-get in `work`, without root and without changing the system; returns its first error, or ''."""
    options = {
        "Dir::Cache": str(work / "cache"),
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",  # otherwise, an update without a network counts as success
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "15",
        "Acquire::https::Timeout": "15",
    }
    (work / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items()), *arguments]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=APT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {APT_SECONDS} s"
    complaints = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    return complaints[0] if done.returncode and complaints else ""


def arrange(unpacked: Path, folder: Path) -> None:
    """Sort unpacked packages by voice: `…/sounds/es_MX_f_Allison/…` is copied to `Allison/es_MX/…`.

    The English and the Spanish prompts have the same voice, which must not count as two speakers.

    Raises:
        Unavailable: the packages contain fewer than two voices.
    """
    for language in sorted(path for path in (unpacked / SOUNDS).glob("*_*") if path.is_dir()):
        *place, _sex, voice = language.name.split("_")
        shutil.copytree(language, folder / voice / "_".join(place))
    n_voices = len(list(folder.iterdir()))
    if n_voices < 2:
        raise Unavailable(f"the packages contain {n_voices} voice(s); expected at least two")
    notices = sorted((unpacked / "usr/share/doc").glob("*/copyright"))
    texts = dict.fromkeys(path.read_text(encoding="utf-8") for path in notices)  # most of them are identical
    heading = CREDITS.format(packages=" ".join(path.parent.name for path in notices))
    (folder / "CREDITS.txt").write_text(heading + "\n".join(texts), encoding="utf-8")


@click.command(epilog=EXAMPLES)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Write the speech into this folder.")
@cli.sentences()
def main(out: Path) -> None:
    """Get speech for the demonstration: recorded prompts from Debian, or else built-in artificial voices."""
    speech = obtain(out)
    click.echo(f"Speech: {speech.description}.", err=True)
    click.echo(speech.folder)


if __name__ == "__main__":
    main()
