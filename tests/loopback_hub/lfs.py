"""The loopback Hub's LFS storage: batch, upload at once or in parts, verify.

Belongs here: what git-lfs's batch protocol and the Hub's multipart transfer answer.
"""

import hashlib
from typing import Any

from tests.loopback_hub.access import Access
from tests.loopback_hub.calls import REPO, Answer, At, Call, Route

OID = "(?P<oid>[0-9a-f]{64})"


class LfsApi:
    def __init__(self, access: Access):
        self.access = access
        self.part_bytes = 1 << 30  # of an upload, above which it goes in parts
        self._parts: dict[tuple[str, int], bytes] = {}

    def routes(self) -> list[Route]:
        return [
            ("lfs batch", "POST", f"/{REPO}[.]git/info/lfs/objects/batch", self._batch),
            ("lfs put", "PUT", f"/storage/{OID}", self._put),
            ("lfs part", "PUT", f"/storage/{OID}/(?P<part>[0-9]+)", self._part),
            ("lfs complete", "POST", f"/storage/{OID}/complete", self._complete),
            ("lfs verify", "POST", f"/{REPO}[.]git/info/lfs/verify", self._verify),
        ]

    def _batch(self, call: Call, at: At) -> Answer:
        self.access.repository(call, at["repo"], write=True)
        asked = call.json()
        objects = [self._object(at["repo"], item, "multipart" in asked["transfers"]) for item in asked["objects"]]
        return Answer.of({"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def _object(self, repo_id: str, asked: dict[str, Any], multipart: bool) -> dict[str, Any]:
        oid, size = asked["oid"], asked["size"]
        if (self.access.lfs / oid).exists():
            return {"oid": oid, "size": size}
        upload: dict[str, Any] = {"href": self.access.signed(f"/storage/{oid}")}
        if multipart and size > self.part_bytes:
            parts = range(1, -(-size // self.part_bytes) + 1)
            upload = {
                "href": self.access.signed(f"/storage/{oid}/complete"),
                "header": {"chunk_size": str(self.part_bytes)}
                | {str(part): self.access.signed(f"/storage/{oid}/{part}") for part in parts},
            }
        verify = {"href": f"{self.access.endpoint}/{repo_id}.git/info/lfs/verify"}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def _put(self, call: Call, at: At) -> Answer:
        self.access.check_signed(call)
        return self._keep(at["oid"], call.body)

    def _keep(self, oid: str, content: bytes) -> Answer:
        try:
            self.access.repositories.keep_lfs(oid, content)
        except ValueError as error:
            return Answer.error(400, str(error))
        return Answer()

    def _part(self, call: Call, at: At) -> Answer:
        self.access.check_signed(call)
        self._parts[at["oid"], int(at["part"])] = call.body
        return Answer(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})

    def _complete(self, call: Call, at: At) -> Answer:
        self.access.check_signed(call)
        content = b""
        for part in call.json()["parts"]:
            body = self._parts.get((at["oid"], part["partNumber"]), b"")
            if part["etag"].strip('"') != hashlib.md5(body).hexdigest():
                return Answer.error(400, f"part {part['partNumber']} is another")
            content += body
        return self._keep(at["oid"], content)

    def _verify(self, call: Call, at: At) -> Answer:
        self.access.repository(call, at["repo"], write=True)
        asked, path = call.json(), self.access.lfs
        arrived = (path / asked["oid"]).exists() and (path / asked["oid"]).stat().st_size == asked["size"]
        return Answer.of({}) if arrived else Answer.error(404, "Object does not exist")
