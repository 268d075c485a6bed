"""A Dockerfile, read as far as this project's goes: stages of instructions, and what `.dockerignore` lets in.

Belongs here: the reading.  What has to be true of it is the tests'.
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_FROM = re.compile(r"(?P<image>\S+)(\s+AS\s+(?P<name>\S+))?", re.IGNORECASE)
_FLAG = re.compile(r"--(?P<name>[a-z]+)=(?P<value>\S+)\s+")
KNOWN = {"ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"}


@dataclass(frozen=True)
class Copy:
    """One COPY: where from (another stage's name, or "" for the context), what, where to."""

    of: str
    sources: tuple[str, ...]
    target: str


@dataclass
class Stage:
    """What stands below one FROM."""

    image: str
    name: str
    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)  # WORKDIR
    user: str = ""
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """Raises ValueError for an instruction that it does not know: nothing of the file goes unread."""
    found: list[Stage] = []
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if word == "FROM":
            match = _FROM.fullmatch(rest)
            if match is None:
                raise ValueError(line)
            found.append(Stage(match["image"], match["name"] or ""))
        elif word not in KNOWN or not found:
            raise ValueError(line)
        else:
            _take(found[-1], word, rest)
    return found


def _take(stage: Stage, word: str, rest: str) -> None:
    match word:
        case "ARG":
            name, _, value = rest.partition("=")
            stage.args[name] = value
        case "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                stage.env[name] = value
        case "RUN":
            stage.runs.append(rest)
        case "COPY":
            stage.copies.append(_copy(rest))
        case "WORKDIR":
            stage.folders.append(rest)
        case "USER":
            stage.user = rest
        case "VOLUME":
            stage.volumes += json.loads(rest)
        case "EXPOSE":
            stage.ports += [int(port) for port in rest.split()]
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)


def _copy(rest: str) -> Copy:
    flags: dict[str, str] = {}
    while match := _FLAG.match(rest):
        flags[match["name"]] = match["value"]
        rest = rest[match.end() :]
    *sources, target = shlex.split(rest)
    return Copy(flags.get("from", ""), tuple(sources), target)


def _lines(text: str) -> Iterable[str]:
    """Instructions, one each, without comments."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(kept))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def let_in(name: str, ignore: str) -> bool:
    """Whether `.dockerignore` lets this file in: as its last line says that fits the file or a folder above it."""
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    parts = name.split("/")
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    answer = True
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if any(_fits(path, wanted) for path in above):
            answer = pattern.startswith("!")
    return answer


def _fits(path: str, pattern: str) -> bool:
    """`*` stops at a slash, and `**/` stands for any folders or none."""
    anywhere = pattern.startswith("**/")
    pattern = pattern.removeprefix("**/")
    name = "/".join(path.split("/")[-pattern.count("/") - 1 :]) if anywhere else path
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
