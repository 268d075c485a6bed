"""Configs as nobody should write them: the shipped files, changed by chance.

Belongs here: drawing such files (with hypothesis) and loading them as every command does.  What must hold of the
outcome is for whoever asks.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from director_diffusion.catalog import KINDS
from director_diffusion.errors import DirectorError
from director_diffusion.plain_text import is_plain
from pipelines.build import build_definitions
from pipelines.surroundings import CHECKOUT, read_surroundings

CONFIGS = CHECKOUT / "configs"
MOST_TOLD = 20_000  # characters of an error: what a person can read, and no terminal chokes on

Key = str | int
Place = tuple[Key, ...]

_LAUGHS = "laughs: &a0 [ha, ha]\n" + "".join(f"l{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
_CHAIN = "c0: &b0 {x: 1}\n" + "".join(f"c{n}: &b{n} {{x: *b{n - 1}}}\n" for n in range(1, 2000))
_MERGES = "m0: &m0 {x: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
LINES = (
    "name: !!python/object/apply:os.system [exit 1]\n",
    "seed: !!python/object/new:os.system [exit 1]\n",
    "itself: &me [*me]\n",
    "itself: &me {me: *me}\n",
    "merged: &me {<<: *me}\n",
    "<<: 5\n",
    "<<: [1, {a: b}]\n",
    "slug: other\n",
    "? [a, b]\n: c\n",
    "? {a: b}\n: c\n",
    "steps: 0o777\n",
    "steps: 0777\n",
    "steps: 1_000\n",
    "steps: 190:20:30\n",
    "steps: 0b\n",
    "steps: !!int x\n",
    "steps: !!int ''\n",
    "steps: !!float x\n",
    "steps: !!bool perhaps\n",
    "steps: !!timestamp never\n",
    "steps: !!binary '%%%'\n",
    "steps: !!set {a, b}\n",
    "steps: !!omap [a: b]\n",
    "steps: !!pairs [a: b]\n",
    "steps: !unknown x\n",
    "steps: 0x" + "f" * 5000 + "\n",
    "steps: " + "9" * 5000 + "\n",
    "since: 2026-13-45\n",
    "since: 2026-11-22T25:61:61\n",
    "since: 2026-11-22 10:00:00 +99:99\n",
    "tab:\tvalue\n\tother: value\n",
    "%YAML 9.9\n---\nname: x\n",
    "---\nname: x\n---\nname: y\n",
    'text: "\\ud800 \\x00 \\e[31m"\n',
    "deep: " + "[" * 100_000 + "\n",
    "deep: " + "{a: " * 5000 + "\n",
    "deep: " + "[" * 39 + "]" * 39 + "\n",
    "".join(f"{' ' * depth}a:\n" for depth in range(1500)),
    _LAUGHS,
    _CHAIN,
    _MERGES,
    "\x1b[31mred: 1\n",
    "key\u202e: 1\n",
    "&a : *a\n",
    "*nothing\n",
    "'': ''\n",
    "~: ~\n",
    "1: 2\n",
    "true: false\n",
    ".nan: .nan\n",
)
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 10**6, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**30, 10**400,
    0.0, -0.0, 1e-320, 1e-300, 1e-17, 0.5, 1 - 1e-16, 1.0, 1.5, 1e16, 1e300, float("nan"), float("inf"), -float("inf"),
    "", " ", "a", "0", "1e9", "1" * 4000, "x" * 1999, "x" * 100_000, "\0", "a\0b", "a\nb",
    "\x1b[2J", "a\u202eb", "\ufeff", "é" * 70,
    "..", "../../etc/passwd", "/", "/etc/passwd", "/dev/zero", "~", "~nobody_of_that_name/x", "$HOME",
    "%(here)s", "C:\\x",
    "x" * 300 + "/" + "y" * 300, "s3://", "s3://b/../c", "s3:///x", "nosuch://x", "file://", "http://[",
    "http://", "https://a b/",
    "postgresql://[", "postgresql://u:p@h/d", "sqlite:///", "sqlite:///\0", "sqlite+x:///~nobody_of_that_name/v", "memory://",
    "all", "none", "hub", "folder", "base_model", "single_file", "mini", "mnist", "nolan", "mini_lora",
    "stills", "in", "class",
    [], [[]], [None], ["a", "a"], ["nolan", "nolan"], ["mini_lora", "mini_lora"], {},
    {"kind": None}, {"kind": []}, {"": {}},
    {"kind": "folder", "folder": "x"}, {"kind": "base_model", "base": "mini"}, {"kind": "hub", "repo": "../.."}, {1: 2},
    date(2026, 11, 22), b"\xff\x00",
)  # fmt: skip


@dataclass(frozen=True)
class Changed:
    """One file of the configs with other content."""

    kind: str
    slug: str
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a file: `how` it ended, and the words of an error."""

    how: str  # valid, refused, or what must not be: a traceback, or an error that tells too little or too much
    words: str = ""

    @property
    def is_well(self) -> bool:
        return self.how in ("valid", "refused")


@cache
def shipped() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (kind, path.stem): yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 — safe
        for kind in KINDS
        for path in sorted((CONFIGS / kind).glob("*.yaml"))
    }


@st.composite
def changed_files(draw: st.DrawFn) -> Changed:
    """A shipped file after one to four changes of its values, of its text, or of both."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    slug = draw(st.sampled_from([slug for found, slug in shipped() if found == kind]))
    data: Any = shipped()[kind, slug]
    for _ in range(draw(st.integers(0, 4))):
        data = draw(_changed(data))
    text = yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True)
    encoded = draw(_rewritten(text)) if draw(st.integers(0, 2)) == 0 else text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 30)) == 0:
        slug = draw(st.sampled_from(["in", "class", "stills", "x" * 64, "x" * 65, "Up-Per", "\u202e", "a b", "1"]))
    return Changed(kind, slug, encoded)


@st.composite
def _changed(draw: st.DrawFn, data: Any) -> Any:
    places = list(_places(data))
    if not places:
        return data
    place = draw(st.sampled_from(places))
    how = draw(st.sampled_from(["value", "value", "number", "text", "drop", "rename", "add", "repeat", "swap"]))
    if how == "drop":
        return _with(data, place, lambda parent, key: parent.pop(key))
    if how == "rename":
        other = draw(st.sampled_from(["kind", "seed", "Steps", "steps ", "", "\x1b", "slug", 5, None, True]))
        return _with(data, place, lambda parent, key: parent.update({other: parent.pop(key)})
                     if isinstance(parent, dict) else parent.append(other))  # fmt: skip
    if how == "repeat":
        times = draw(st.sampled_from([2, 3, 300]))
        return _with(data, place, lambda parent, key: parent.__setitem__(key, [_at(data, place)] * times))
    if how == "swap":
        other_file = shipped()[draw(st.sampled_from(sorted(shipped())))]
        value = _at(other_file, draw(st.sampled_from(list(_places(other_file)))))
    elif how == "number":
        value = draw(st.integers() | st.floats() | st.integers(-2, 40) | st.floats(0, 1))
    elif how == "text":
        value = draw(st.text(max_size=40))
    else:
        value = draw(st.sampled_from(VALUES))
    if how == "add":
        key = draw(st.sampled_from(["joint", "turbo", "prior", "prompts", "stills", "trained_here", "votes", "extra"]))
        return _with(data, place, lambda parent, at: parent.update({key: value}) if isinstance(parent, dict)
                     else parent.append(value))  # fmt: skip
    return _with(data, place, lambda parent, key: parent.__setitem__(key, value))


@st.composite
def _rewritten(draw: st.DrawFn, text: str) -> bytes:
    how = draw(st.sampled_from(["line", "line", "line", "twice", "cut", "bytes", "encoding", "whole"]))
    lines = text.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines)))
    encoded = text.encode("utf-8", "surrogatepass")
    if how == "line":
        return "".join([*lines[:place], draw(st.sampled_from(LINES)), *lines[place:]]).encode("utf-8", "surrogatepass")
    if how == "twice" and lines:
        return "".join([*lines, lines[min(place, len(lines) - 1)]]).encode("utf-8", "surrogatepass")
    if how == "cut":
        return encoded[: draw(st.integers(0, len(encoded)))]
    if how == "bytes":
        at = draw(st.integers(0, len(encoded)))
        return encoded[:at] + draw(st.binary(min_size=1, max_size=8)) + encoded[at + 1 :]
    if how == "encoding":
        return text.encode(draw(st.sampled_from(["utf-16", "utf-32", "utf-7", "utf-8-sig", "cp1252"])), "replace")
    return draw(
        st.sampled_from([b"", b"\0", b"- a\n", b"5", b"~", b"\xff\xfe", b"a: [1,", b" " * 2_000_000, b"#\n" * 9])
    )


def _places(data: Any, here: Place = ()) -> Iterator[Place]:
    """Of every value in nested mappings and lists."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*here, key)
        yield from _places(value, (*here, key))


def _at(data: Any, place: Place) -> Any:
    for key in place:
        data = data[key]
    return data


def _with(data: Any, place: Place, change: Any) -> Any:
    """A copy in which `change(parent, key)` was done at a place."""
    copy = data.copy()
    if len(place) == 1:
        change(copy, place[0])
    else:
        copy[place[0]] = _with(copy[place[0]], place[1:], change)
    return copy


class Loader:
    """A copy of the configs in a folder, in which one file at a time is another."""

    def __init__(self, folder: Path):
        self._folder, self.configs = folder, folder / "configs"
        shutil.copytree(CONFIGS, self.configs)
        (folder / "models").symlink_to(CHECKOUT / "models")

    def outcome(self, changed: Changed) -> Outcome:
        """Read all as a command does that works with this file, and make the graph where that can be done."""
        path = self.configs / changed.kind / f"{changed.slug}.yaml"
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(changed.data)
        try:
            return self._load(changed)
        finally:
            path.unlink() if before is None else path.write_bytes(before)

    def _load(self, changed: Changed) -> Outcome:
        environment = {
            "DIRECTOR_CONFIGS": str(self.configs),
            "DIRECTOR_PROJECT": changed.slug if changed.kind == "projects" else _project_with(changed),
            "DIRECTOR_DEPLOYMENT": changed.slug if changed.kind == "deployments" else "local",
            "DAGSTER_HOME": str(self._folder / "home"),
            "HOME": str(self._folder),
        }
        try:
            surroundings = read_surroundings(environment)
            surroundings.store()
            build_definitions(surroundings).resolve_asset_graph()
        except DirectorError as error:
            return _judged(str(error))
        except Exception as error:  # noqa: BLE001  # told: there is to be none
            return Outcome(f"traceback of {type(error).__name__}", str(error)[:2000])
        return Outcome("valid")


def _judged(words: str) -> Outcome:
    if len(words) > MOST_TOLD:
        return Outcome(f"refused in {len(words)} characters", words[:500])
    if not is_plain(words, lines=True):
        return Outcome("refused in characters that are not plain", repr(words[:2000]))
    return Outcome("refused", words)


@cache
def _project_of() -> dict[tuple[str, str], str]:
    """A project that works with each file, where one does."""
    found: dict[tuple[str, str], str] = {}
    for (kind, slug), data in shipped().items():
        if kind == "projects":
            found.setdefault(("evaluations", data["evaluation"]), slug)
            for recipe in data["recipes"]:
                found.setdefault(("recipes", recipe), slug)
                found.setdefault(("bases", shipped()["recipes", recipe]["base"]), slug)
            for base in data.get("bases", ()):
                found.setdefault(("bases", base), slug)
    return found


def _project_with(changed: Changed) -> str:
    return _project_of().get((changed.kind, changed.slug), "demo")
