"""A small stand-in for the model hub: those answers of its HTTP interface that publishing and loading a run need.

Repositories with revisions, downloads with ETag, uploads in one commit. Every file is uploaded inside the commit, as
the hub does it with small ones; its large-file protocol is not imitated.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"


class Hub:
    """The repositories of a stand-in, and the requests that it got.

    Attributes:
        commits: repository → its commits, each a number and all files by name; the last one is the branch `main`.
        requests: method and path of every request.
        private: the repositories that were created as private.
    """

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.requests: list[str] = []
        self.private: list[str] = []

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add a commit; returns its number."""
        number = hashlib.sha1(f"{repository} {len(self.commits.get(repository, []))}".encode()).hexdigest()
        self.commits.setdefault(repository, []).append((number, files))
        return number

    def files(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A commit by its number or as `main`; None if there is none."""
        commits = self.commits[repository]
        return commits[-1] if revision == "main" and commits else next((c for c in commits if c[0] == revision), None)


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """Answer on a free port of this machine; yields the address."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def used(hub: Hub, cache: Path, monkeypatch) -> Iterator[str]:
    """Have huggingface_hub use the stand-in, with a cache folder of its own and the stand-in's token."""
    from huggingface_hub import constants

    with serve(hub) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield address


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._count()
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]), *(parts[4:6] or ["revision", "main"]))
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._error(404, "EntryNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._count()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        elif path.endswith("/commit/main"):
            self._commit("/".join(path.split("/")[3:5]), [json.loads(line) for line in body.splitlines()])
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        else:
            self._error(404, "EntryNotFound")

    def _count(self) -> None:
        self.hub.requests.append(f"{self.command} {urlsplit(self.path).path}")

    def _describe(self, repository: str, what: str, revision: str) -> None:
        if repository not in self.hub.commits:
            return self._error(404, "RepoNotFound")
        found = self.hub.files(repository, revision)
        if found is None:
            return self._error(404, "RevisionNotFound")
        number, files = found
        listed = [{"type": "file", "path": n, "size": len(b), "oid": _etag(b)} for n, b in files.items()]
        described = {"id": repository, "sha": number, "siblings": [{"rfilename": name} for name in files]}
        return self._json(listed if what == "tree" else described)

    def _file(self, repository: str, revision: str, name: str) -> None:
        number, files = self.hub.files(repository, revision) or ("", {})
        if name not in files:
            return self._error(404, "EntryNotFound")
        return self._send(200, files[name], {"ETag": f'"{_etag(files[name])}"', "X-Repo-Commit": number})

    def _create(self, wanted: dict) -> None:
        repository = f"{wanted['organization']}/{wanted['name']}"
        if repository in self.hub.commits:
            return self._json({"url": f"http://{self.headers['Host']}/{repository}"}, 409)
        self.hub.commit(repository, {".gitattributes": b""})
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.hub.private.append(repository)
        return self._json({"url": f"http://{self.headers['Host']}/{repository}"})

    def _commit(self, repository: str, lines: list[dict]) -> None:
        found = self.hub.files(repository, "main")
        files = dict(found[1]) if found else {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        number = self.hub.commit(repository, files)
        self._json({"commitUrl": f"http://{self.headers['Host']}/{repository}/commit/{number}", "commitOid": number})

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
