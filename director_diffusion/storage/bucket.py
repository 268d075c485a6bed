"""Bucket: files of a store on S3, or on whatever speaks its language, through s3fs.

Belongs here: requests.  Where S3 is busy, fails or hangs up, `s3_requests` asks again; an object's body that breaks off
is read again here.  What S3's errors mean is `bucket_errors`'.
"""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import aiohttp
from botocore.exceptions import BotoCoreError, FlexibleChecksumError, HTTPClientError
from fsspec.asyn import sync

from director_diffusion.errors import StoreError
from director_diffusion.storage.bucket_errors import CutError, code_of, told
from director_diffusion.storage.files import Info
from director_diffusion.storage.s3_requests import AT_ONCE, ATTEMPTS, connect, pause_before

PART = 8 << 20  # bytes of a part; what is larger than two goes up in parts, a few at a time
PARTS_AT_ONCE = 4
MOST_PARTS = 10_000
MOST_KEY = 1024  # bytes
LEFT_BEHIND = timedelta(days=1)  # an upload in parts that nobody can be at any more
_PAGE = 1000
_UPLOAD = "upload"  # metadata of what went up in parts
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Held:
    """A small object as it was found."""

    data: bytes
    mark: str
    age_s: float  # since it was written, by the server's clock


class Bucket:
    """Objects of a bucket below a prefix.  Safe to use from threads, and in a fork of a process that used it."""

    def __init__(self, url: str):
        self.bucket, _, prefix = url.partition("://")[2].partition("/")
        if not self.bucket:
            raise ValueError("it names no bucket")
        self.root = "/".join(filter(None, (f"s3://{self.bucket}", *PurePosixPath(prefix).parts)))
        self._prefix = self.root.partition("://")[2].partition("/")[2]
        self._pid, self._fs, self._abandoned = -1, None, list[Any]()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pid": -1, "_fs": None, "_abandoned": []}

    def exists(self, name: str) -> bool:
        with self._told(name):
            return bool(self.present([name])) or self.is_folder(name)

    def present(self, names: Collection[str]) -> set[str]:
        return set(self._of_those(names, lambda name: self._ask("head_object", Key=self._key(name))))

    def read_those(self, names: Collection[str]) -> dict[str, bytes]:
        """Contents of those of the names that are files."""
        found = self._of_those(names, lambda name: self._get(self._key(name), {}))
        return {name: data for name, (_, data) in found.items()}

    def info(self, name: str) -> Info:
        with self._told(name):
            try:
                found = self._run(self._ask, "head_object", Key=self._key(name))
            except FileNotFoundError:
                if not self.is_folder(name):
                    raise
                return Info(0, "folder", "", None)
            written = found["LastModified"].timestamp()
            return Info(int(found["ContentLength"]), "file", str(found["ETag"]), written)

    def is_folder(self, name: str) -> bool:
        with self._told(name):
            found = self._run(self._ask, "list_objects_v2", Prefix=self._key(name) + "/", MaxKeys=1)
            return bool(found.get("Contents"))

    def names(self, folder: str) -> list[str]:
        prefix = self._key(folder) + "/"
        with self._told(folder):
            pages = list(self._pages(Prefix=prefix, Delimiter="/"))
        files = [one["Key"] for page in pages for one in page.get("Contents", []) if one["Key"] != prefix]
        folders = [one["Prefix"].rstrip("/") for page in pages for one in page.get("CommonPrefixes", [])]
        return [key[len(prefix) :] for key in (*files, *folders)]

    def below(self, folder: str) -> dict[str, Info]:
        prefix = self._key(folder) + "/"
        with self._told(folder):
            return {
                one["Key"][len(prefix) :]: Info(
                    int(one["Size"]), "file", str(one["ETag"]), one["LastModified"].timestamp()
                )
                for page in self._pages(Prefix=prefix)
                for one in page.get("Contents", [])
                if not one["Key"].endswith("/")  # what some tools make to show a folder
            }

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if start == 0 and end is None:
            found = self.read_changed(name, "")
            assert found is not None
            return found[1]
        if end is not None and end <= start:
            return b""
        ranged = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        with self._told(name):
            try:
                return bytes(self._run(self._get, self._key(name), ranged)[1])
            except OSError as error:
                if code_of(error) != "InvalidRange":  # it begins after the object's end
                    raise
                return b""

    def read_changed(self, name: str, mark: str) -> tuple[str, bytes] | None:
        """The mark and content of an object in one request, or None where it still has that `mark`."""
        with self._told(name):
            try:
                out, data = self._run(self._get, self._key(name), {"IfNoneMatch": mark} if mark else {})
                return str(out["ETag"]), data
            except OSError as error:
                if mark and code_of(error) in ("304", "NotModified"):
                    return None
                raise

    def write(self, name: str, data: bytes) -> None:
        self._upload(name, len(data), lambda fs, path, **how: fs.pipe_file(path, data, **how))

    def put(self, source: Path, name: str) -> None:
        self._upload(name, source.stat().st_size, lambda fs, path, **how: fs.put_file(str(source), path, **how))

    def delete(self, name: str) -> None:
        with self._told(name):
            key = self._key(name)
            below = [one["Key"] for page in self._pages(Prefix=key + "/") for one in page.get("Contents", [])]
            self._run(self._ask, "delete_object", Key=key)
            self._delete(below, name)

    def delete_files(self, names: Collection[str]) -> None:
        """Of folders of these names, nothing."""
        first = next(iter(names), self.root)
        with self._told(first):
            self._delete([self._key(name) for name in names], first)

    def look(self, name: str) -> Held | None:
        """A small object with its age; None where there is none."""
        with self._told(name):
            try:
                out, data = self._run(self._get, self._key(name), {})
            except FileNotFoundError as error:
                if code_of(error) == "NoSuchBucket":
                    raise
                return None
        now = parsedate_to_datetime(out["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Held(data, str(out["ETag"]), max(0.0, (now - out["LastModified"]).total_seconds()))

    def write_unless_changed(self, name: str, data: bytes, mark: str) -> str:
        """The new mark of a small object, written only where it still has that `mark` ("": where there is none).

        "" where it has not.  A response that was lost on its way reads the same, so look whose content is there.
        """
        condition = {"IfMatch": mark} if mark else {"IfNoneMatch": "*"}
        with self._told(name):
            try:
                return str(self._run(self._ask, "put_object", Key=self._key(name), Body=data, **condition)["ETag"])
            except OSError as error:
                if code_of(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchKey"):
                    return ""
                raise

    def _upload(self, name: str, size: int, send: Callable[..., object]) -> None:
        key = self._key(name)
        with self._told(name):
            if size < 2 * PART:  # as s3fs decides
                send(self._files(), f"{self.bucket}/{key}", chunksize=PART)
                return
            self._sweep(key)
            mine = uuid.uuid4().hex
            how = {"chunksize": max(PART, -(-size // MOST_PARTS)), "max_concurrency": PARTS_AT_ONCE}
            try:
                send(self._files(), f"{self.bucket}/{key}", Metadata={_UPLOAD: mine}, **how)
            except FileNotFoundError as error:
                # Where only the word that it was complete was lost, completing it again finds no such upload.
                if code_of(error) != "NoSuchUpload" or not self._is_mine(key, mine):
                    raise

    def _of_those(self, names: Collection[str], ask: Callable[[str], Awaitable[Answer]]) -> dict[str, Answer]:
        """What is answered of each name, a few at a time; of what is not there, nothing."""

        async def those() -> list[tuple[str, Answer] | None]:
            slots = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> tuple[str, Answer] | None:
                async with slots:
                    try:
                        return name, await ask(name)
                    except FileNotFoundError as error:
                        if code_of(error) == "NoSuchBucket":
                            raise
                        return None

            return await asyncio.gather(*(one(name) for name in names))

        with self._told(next(iter(names), self.root)):
            return dict(found for found in self._run(those) if found is not None)

    def _is_mine(self, key: str, mine: str) -> bool:
        try:
            return bool(self._run(self._ask, "head_object", Key=key)["Metadata"].get(_UPLOAD) == mine)
        except FileNotFoundError:
            return False

    def _sweep(self, key: str) -> None:
        """Out with the parts that somebody who died left of this object."""
        found = self._run(self._ask, "list_multipart_uploads", Prefix=key)
        for one in found.get("Uploads", []):
            if one["Key"] == key and datetime.now(UTC) - one["Initiated"] > LEFT_BEHIND:
                self._run(self._ask, "abort_multipart_upload", Key=key, UploadId=one["UploadId"])

    def _pages(self, **what: Any) -> Iterator[Mapping[str, Any]]:
        page: Mapping[str, Any] = {"IsTruncated": True}
        while page["IsTruncated"]:
            more = {"ContinuationToken": page["NextContinuationToken"]} if "NextContinuationToken" in page else {}
            page = self._run(self._ask, "list_objects_v2", **what, **more)
            yield page

    def _delete(self, keys: Sequence[str], name: str) -> None:
        for start in range(0, len(keys), _PAGE):
            some = [{"Key": one} for one in keys[start : start + _PAGE]]
            out = self._run(self._ask, "delete_objects", Delete={"Objects": some, "Quiet": True})
            for error in out.get("Errors", []):
                raise StoreError(name, f"could not be deleted ({error['Code']})", f"Look at {self.root} there.")

    async def _get(self, key: str, what: Mapping[str, str]) -> tuple[Mapping[str, Any], bytes]:
        """An object with its body, asked for again where that breaks off."""
        for attempt in range(ATTEMPTS):
            await pause_before(attempt)
            out = await self._ask("get_object", Key=key, **what)
            try:
                async with out["Body"] as body:
                    data = bytes(await body.read())
            except (HTTPClientError, FlexibleChecksumError, BotoCoreError, aiohttp.ClientError, TimeoutError):
                continue
            if len(data) == out["ContentLength"]:
                return out, data
        raise CutError

    async def _ask(self, method: str, **what: Any) -> Any:
        return await self._files()._call_s3(method, Bucket=self.bucket, **what)

    def _run(self, function: Callable[..., Any], *given: Any, **what: Any) -> Any:
        return sync(self._files().loop, function, *given, **what)

    def _files(self) -> Any:
        """s3fs of this process: a fork must not use its parent's connections, nor close them."""
        if self._pid != os.getpid():
            if self._fs is not None:
                self._abandoned.append(self._fs)
            self._fs, self._pid = connect(), os.getpid()
        return self._fs

    def _key(self, name: str) -> str:
        key = f"{self._prefix}/{name}" if self._prefix else name
        try:
            if len(key.encode()) <= MOST_KEY:
                return key
        except UnicodeEncodeError as error:
            raise StoreError(
                repr(name), "is a name that S3 cannot hold: it is not UTF-8", "Rename the file."
            ) from error
        raise StoreError(name, "has too long a name for S3", "Use a shorter name.")

    def _told(self, name: str) -> Any:
        return told(name, self.root)
