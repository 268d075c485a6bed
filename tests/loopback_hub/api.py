"""The loopback Hub's protocol: what the real Hub answers to huggingface_hub 2.4, over real repositories.

Belongs here: repositories, commits, tags and files.  Large contents are `lfs`'s and `xet_api`'s; sockets and faults the
server's.
"""

import base64
import fnmatch
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from tests.loopback_hub.access import Access
from tests.loopback_hub.calls import MODEL, REPO, REVISION, Answer, At, Call, Route, part_of
from tests.loopback_hub.cards import faults_of_card
from tests.loopback_hub.lfs import LfsApi
from tests.loopback_hub.repositories import Changes, ConflictError, StoredFile
from tests.loopback_hub.xet import XetStorage
from tests.loopback_hub.xet_api import XetApi

LARGE = 10 << 20  # bytes above which every file is in LFS
DATE = "2026-01-01T00:00:00.000Z"


class Api:
    """Answers calls."""

    def __init__(self, folder: Path, access: Access):
        self.access, self.xet = access, XetStorage(folder / "xet")
        self.lfs = LfsApi(access)
        self.page = 1000  # entries of a tree in one answer
        self._routes = [*self._own_routes(), *self.lfs.routes(), *XetApi(access, self.xet).routes()]

    def route(self, method: str, path: str) -> tuple[Route, At] | None:
        """Who answers, and what the path says."""
        for route in self._routes:
            match = re.fullmatch(route[2], path) if route[1] == method else None
            if match is not None:
                return route, {key: unquote(value or "") for key, value in match.groupdict().items()}
        return None

    def _own_routes(self) -> list[Route]:
        return [
            ("whoami", "GET", "/api/whoami-v2", self._whoami),
            ("validate", "POST", "/api/validate-yaml", self._validate),
            ("create", "POST", "/api/repos/create", self._create),
            ("info", "GET", MODEL + f"(/revision/{REVISION})?", self._info),
            ("tree", "GET", MODEL + f"/tree/{REVISION}", self._tree),
            ("refs", "GET", MODEL + "/refs", self._refs),
            ("commits", "GET", MODEL + f"/commits/{REVISION}", self._commits),
            ("preupload", "POST", MODEL + f"/preupload/{REVISION}", self._preupload),
            ("commit", "POST", MODEL + f"/commit/{REVISION}", self._commit),
            ("tag", "POST", MODEL + f"/tag/{REVISION}", self._tag),
            ("untag", "DELETE", MODEL + "/tag/(?P<tag>.+)", self._untag),
            ("resolve", "HEAD", f"/{REPO}/resolve/{REVISION}/(?P<file>.+)", self._resolve),
            ("resolve", "GET", f"/{REPO}/resolve/{REVISION}/(?P<file>.+)", self._resolve),
        ]

    def _whoami(self, call: Call, at: At) -> Answer:
        if not self.access.known(call):
            return Answer.error(401, "Invalid username or password.")
        user, *organisations = self.access.namespaces
        return Answer.of({"type": "user", "name": user, "orgs": [{"name": name} for name in organisations]})

    def _validate(self, call: Call, at: At) -> Answer:
        errors, warnings = faults_of_card(call.json()["content"])
        said = {"errors": [{"message": m} for m in errors], "warnings": [{"message": m} for m in warnings]}
        return Answer.of(said, 400 if errors else 200)

    def _create(self, call: Call, at: At) -> Answer:
        asked = call.json()
        repo_id = f"{asked.get('organization') or self.access.namespaces[0]}/{asked['name']}"
        self.access.check_writable(call, repo_id)
        url = f"{self.access.endpoint}/{repo_id}"
        try:
            self.access.repositories[repo_id].create(private=asked.get("visibility") == "private", author="system")
        except ConflictError as error:
            return Answer.of({"error": str(error), "url": url}, 409)
        return Answer.of({"url": url, "name": repo_id, "id": repo_id})

    def _info(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"])
        commit = self.access.commit_at(repository, at["revision"] or "main")
        names = [{"rfilename": name} for name in repository.read(commit).files]
        return Answer.of(
            {"id": at["repo"], "modelId": at["repo"], "sha": commit, "private": repository.private, "siblings": names}
        )

    def _tree(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"])
        commit = self.access.commit_at(repository, at["revision"])
        files, first = list(repository.read(commit).files.items()), int(call.query.get("cursor", "0"))
        folders = sorted({parent for name, _ in files for parent in _folders(name)}) if not first else []
        entries = [{"type": "directory", "path": folder, "oid": "0" * 40} for folder in folders]
        entries += [_entry(name, file) for name, file in files[first : first + self.page]]
        if first + self.page >= len(files):
            return Answer.of(entries)
        url = f"{self.access.endpoint}{quote(call.path)}?recursive=true&cursor={first + self.page}"
        return Answer.of(entries, Link=f'<{url}>; rel="next"')

    def _refs(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"])
        named = {kind: repository.refs(kind) for kind in ("heads", "tags")}
        told = {
            kind: [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in refs.items()]
            for kind, refs in named.items()
        }
        return Answer.of({"branches": told["heads"], "tags": told["tags"], "converts": []})

    def _commits(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"])
        history = repository.history(self.access.commit_at(repository, at["revision"]))
        return Answer.of(
            [
                {"id": oid, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": DATE}
                for oid, c in history
            ]
        )

    def _preupload(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"], write=True)
        there = repository.read(self.access.commit_at(repository, at["revision"])).files
        ignored = repository.content(there[".gitignore"]).decode().split() if ".gitignore" in there else []
        told = []
        for file in call.json()["files"]:
            name, old = file["path"], there.get(file["path"])
            base64.b64decode(file["sample"], validate=True)
            told.append(
                {
                    "path": name,
                    "uploadMode": "lfs" if name.endswith(".safetensors") or file["size"] > LARGE else "regular",
                    "shouldIgnore": any(fnmatch.fnmatch(name, pattern) for pattern in ignored),
                    "oid": (old.sha256 or old.blob) if old else None,
                }
            )
        return Answer.of({"files": told})

    def _commit(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"], write=True)
        header, changes = {}, Changes()
        for line in call.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                header = value
            elif item["key"] == "file":
                changes.files[value["path"]] = repository.keep(base64.b64decode(value["content"]))
            elif item["key"] == "lfsFile":
                try:
                    changes.files[value["path"]] = repository.pointer(value["oid"])
                except KeyError:
                    return Answer.error(400, f"LFS object {value['oid']} of {value['path']} is missing")
            elif item["key"] == "deletedFile":
                if value["path"] not in repository.read(self.access.commit_at(repository, at["revision"])).files:
                    return Answer.error(404, "A file with this name doesn't exist", "EntryNotFound")
                changes.deleted.add(value["path"])
        try:
            oid = repository.commit(
                changes,
                parent=header.get("parentCommit"),
                title=header["summary"],
                message=header["description"],
                author=self.access.namespaces[0],
            )
        except ConflictError as error:
            return Answer.error(412, str(error))
        return Answer.of(
            {"success": True, "commitOid": oid, "commitUrl": f"{self.access.endpoint}/{at['repo']}/commit/{oid}"}
        )

    def _tag(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"], write=True)
        commit = self.access.commit_at(repository, at["revision"])
        try:
            repository.tag(call.json()["tag"], commit)
        except ConflictError as error:
            return Answer.error(409, str(error))
        return Answer.of({})

    def _untag(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"], write=True)
        if at["tag"] not in repository.refs("tags"):
            return Answer.error(404, "Reference not found", "RevisionNotFound")
        repository.delete_tag(at["tag"])
        return Answer.of({})

    def _resolve(self, call: Call, at: At) -> Answer:
        repository = self.access.repository(call, at["repo"])
        commit = self.access.commit_at(repository, at["revision"])
        file = repository.read(commit).files.get(at["file"])
        if file is None:
            return Answer.error(404, "Entry not found", "EntryNotFound")
        content = repository.content(file)
        headers = {"ETag": f'"{file.sha256 or file.blob}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.sha256:
            headers |= {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
            xet = self.xet.name_of(file.sha256)
            if xet is not None:
                token = f"{self.access.endpoint}/api/models/{at['repo']}/xet-read-token/{commit}"
                headers |= {"X-Xet-Hash": xet, "Link": f'<{token}>; rel="xet-auth"'}
        return part_of(content, call, headers)


def _entry(name: str, file: StoredFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": file.size, "oid": file.blob}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 130}
    return entry


def _folders(name: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(name).parents if parent.name]
