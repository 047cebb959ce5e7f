"""Runs on the model hub, under names such as hf://owner/name@revision: fetch one into a folder, or upload a folder."""

import re
from dataclasses import dataclass
from pathlib import Path

from spoofcache.common.errors import InputError

PLACE = re.compile(r"hf:/{1,2}(?P<owner>[^/@\s]+)/(?P<name>[^/@\s]+)(?:@(?P<revision>\S+))?")
"""A place on the hub. With one slash, it has been a `pathlib.Path`, which makes one of two."""
DESCRIPTION = "model.json"
"""The file that every run on the hub has."""
KINDS = ("*.safetensors", "*.json", "*.toml")
"""Patterns of the files of a run on the hub. Nothing else is downloaded, and a new upload replaces these."""
LOG_IN = "`hf auth login` or the variable HF_TOKEN logs in"


class HubError(InputError):
    """The hub, or a repository on it, cannot be used; the message names the repository and the reason."""


@dataclass(frozen=True)
class Place:
    """A repository on the hub, and a branch, tag or commit of it."""

    owner: str
    name: str
    revision: str | None = None

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def find_place(text: str | Path) -> Place | None:
    """The place on the hub that a text names; None if the text is the path of a folder.

    >>> find_place("hf://someone/lcnn@v2")
    Place(owner='someone', name='lcnn', revision='v2')
    >>> find_place("runs/lcnn") is None
    True

    Raises:
        HubError: the text begins like a place, but has no owner or no name.
    """
    if not str(text).startswith("hf:/"):
        return None
    match = PLACE.fullmatch(str(text))
    if not match:
        raise HubError(
            f"{text}: not the name of a run on the hub; expected hf://owner/name or hf://owner/name@revision"
        )
    return Place(**match.groupdict())


def local_folder(text: str | Path) -> Path:
    """The folder of a run: the given path, or for a place on the hub the folder into which its files are downloaded.

    Files that were downloaded earlier are not downloaded again. If the hub does not answer, they are used as they are.

    Raises:
        HubError: the hub has no such run, or does not answer and the run was not downloaded earlier.
    """
    place = find_place(text)
    if place is None:
        return Path(text)
    from huggingface_hub import HfApi

    try:
        found = HfApi().snapshot_download(place.repository, revision=place.revision, allow_patterns=list(KINDS))
    except Exception as error:  # also of the HTTP library, which differs between versions of huggingface_hub
        raise HubError(f"{place}: {_reason(error, place.revision)}") from error
    folder = Path(found)
    if not (folder / DESCRIPTION).is_file():
        raise HubError(f"{place}: no {DESCRIPTION} in it; expected a run that `spoofcache publish` uploaded")
    return folder


def upload(folder: Path, repository: str, private: bool = False) -> str:
    """Upload the files of a folder in one commit, and create the repository if it does not exist.

    Files of an earlier upload that the folder does not have are deleted. An existing repository stays as public as it
    is.

    Returns:
        The address of the commit.

    Raises:
        HubError: the name is not valid, the hub does not answer, or it refuses the login.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True, private=private or None)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Run of SpoofCache",
            delete_patterns=list(KINDS),
        )
    except Exception as error:
        raise HubError(f"{repository}: {_reason(error)}") from error
    return str(commit.commit_url)


def _reason(error: Exception, revision: str | None = None) -> str:
    """What went wrong, in a sentence."""
    from huggingface_hub import constants, errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.GatedRepoError):
        return f"access is granted on the page of the repository only; {LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"no revision {revision}; expected a branch, a tag or a commit of the repository"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"not on the hub, or private and not open to this login; {LOG_IN}"
    if status in (401, 403):
        return f"the hub refuses this login ({status}); {LOG_IN}"
    if status is not None:
        return f"the hub answers with an error ({_first_line(error)})"
    if isinstance(error, errors.HFValidationError):
        return f"not the name of a repository ({_first_line(error)})"
    if isinstance(error, OSError) and error.errno is not None:  # of this machine, such as a full disk
        return _first_line(error)
    earlier = "" if not isinstance(error, FileNotFoundError) else ", and no complete copy was downloaded earlier"
    if constants.HF_HUB_OFFLINE:
        return f"the hub is not contacted, because HF_HUB_OFFLINE is set{earlier}"
    return f"the hub cannot be reached ({_first_line(error.__cause__ or error)}){earlier}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")
