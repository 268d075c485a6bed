"""The loopback Hub's Xet endpoints: tokens, and the storage that they open.

Belongs here: what is asked over HTTP; what a xorb and a shard are is `xet`'s.
"""

import time

from tests.loopback_hub.access import Access, signature
from tests.loopback_hub.calls import MODEL, REVISION, Answer, At, Call, RefusedError, Route, part_of
from tests.loopback_hub.xet import XetStorage

HASH = "(?P<hash>[0-9a-f]{64})"


class XetApi:
    def __init__(self, access: Access, xet: XetStorage):
        self.access, self.xet = access, xet

    def routes(self) -> list[Route]:
        return [
            ("xet write token", "GET", MODEL + f"/xet-(?P<right>write)-token/{REVISION}", self._token),
            ("xet read token", "GET", MODEL + f"/xet-(?P<right>read)-token/{REVISION}", self._token),
            ("xet xorb", "POST", f"/v1/xorbs/default/{HASH}", self._keep_xorb),
            ("xet shard", "POST", "/v1/shards", self._keep_shard),
            ("xet reconstruction", "GET", f"/v1/reconstructions/{HASH}", self._reconstruction),
            ("xet data", "GET", f"/xet/{HASH}", self._data),
        ]

    def _token(self, call: Call, at: At) -> Answer:
        self.access.repository(call, at["repo"], write=at["right"] == "write")
        token, expires = signature(at["right"]), int(time.time()) + 3600
        return Answer.of(
            {"accessToken": token, "exp": expires, "casUrl": self.access.endpoint},
            X_Xet_Cas_Url=self.access.endpoint,
            X_Xet_Access_Token=token,
            X_Xet_Token_Expiration=str(expires),
        )

    def _check(self, call: Call, *rights: str) -> None:
        if call.headers.get("authorization") not in {f"Bearer {signature(right)}" for right in rights}:
            raise RefusedError(Answer.error(401, "Invalid xet token"))

    def _keep_xorb(self, call: Call, at: At) -> Answer:
        self._check(call, "write")
        try:
            self.xet.keep_xorb(at["hash"], call.body)
        except ValueError as error:
            return Answer.error(400, str(error))
        return Answer.of({"was_inserted": True})

    def _keep_shard(self, call: Call, at: At) -> Answer:
        self._check(call, "write")
        try:
            for sha256, content in self.xet.keep_shard(call.body):
                self.access.repositories.keep_lfs(sha256, content)
        except ValueError as error:
            return Answer.error(400, str(error))
        return Answer.of({"result": 1})

    def _reconstruction(self, call: Call, at: At) -> Answer:
        self._check(call, "read", "write")
        return Answer.of(self.xet.reconstruction(at["hash"], lambda xorb: self.access.signed(f"/xet/{xorb}")))

    def _data(self, call: Call, at: At) -> Answer:
        self.access.check_signed(call)
        return part_of(self.xet.xorb(at["hash"]), call, {})
