"""Whether anything that requirements.lock pins has a known vulnerability, by pip-audit.

0: none, but for those that advisories.yaml passes over, with reasons; or nobody could be asked, and that is said
plainly ("not audited: …").  1: there is one, advisories.yaml cannot be read, or pip-audit fails though there is
somebody to ask.

pip-audit itself says "No known vulnerabilities found" where it was told of no package at all, as by a mirror of PyPI
that has no JSON API.  So one question is asked first, and what its report leaves out is counted.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

ROOT = Path(__file__).resolve().parents[1]
ADVISORIES = ROOT / ".ci" / "advisories.yaml"
LOCKS = (ROOT / "requirements.lock", ROOT / "requirements-quantised.lock")
SERVICES = {  # what pip-audit calls them, and a question that they all answer
    "pypi": ("GET", "https://pypi.org/pypi/pip/25.0/json", None),
    "osv": (
        "POST",
        "https://api.osv.dev/v1/query",
        {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "25.0"},
    ),
}
TIMEOUT_S = 10.0


def main() -> int:
    """Ask the first service that answers."""
    try:
        ignored = read_ignored(ADVISORIES.read_text(encoding="utf-8"))
    except ValueError as error:
        print(f"audit: {ADVISORIES.name}: {error}")
        return 1
    reasons = {name: unreachable(*asked) for name, asked in SERVICES.items()}
    service = next((name for name, reason in reasons.items() if not reason), None)
    if service is None:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        print(f"not audited: no service of advisories answers here ({told})")
        return 0
    worst = 0
    for lock in LOCKS:
        told = report(lock, service, list(ignored))
        answers = not isinstance(told, str) or not unreachable(*SERVICES[service])
        code, lines = judged(lock.name, told, ignored, answers=answers)
        print("\n".join(lines))
        worst = max(worst, code)
    return worst


def read_ignored(text: str) -> dict[str, str]:
    """Reasons by id.  Raises ValueError for an entry without one."""
    entries = (yaml.safe_load(text) or {}).get("ignored") or []
    found = {}
    for entry in entries:
        if (
            not isinstance(entry, Mapping)
            or {*entry} != {"id", "package", "reason"}
            or not str(entry["reason"]).strip()
        ):
            raise ValueError(f"{entry!r} is not an id, a package and a reason")
        found[str(entry["id"])] = f"{entry['package']}: {entry['reason']}"
    return found


def unreachable(method: str, url: str, asked: object) -> str:
    """Why a service does not answer; "" where it does."""
    try:
        answer = requests.request(method, url, json=asked, timeout=TIMEOUT_S)
        if answer.status_code != 200:
            return f"HTTP {answer.status_code}"
        answer.json()
    except requests.exceptions.JSONDecodeError:
        return "an answer that is no JSON"
    except requests.RequestException as error:
        return type(error).__name__
    return ""


def report(lock: Path, service: str, ignored: Sequence[str]) -> Mapping[str, Any] | str:
    """pip-audit's report, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--require-hashes", "--disable-pip"]
        command += ["-s", service, "-f", "json", "-o", str(out), "--progress-spinner", "off"]
        command += [word for one in ignored for word in ("--ignore-vuln", one)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            told = json.loads(out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return (ran.stderr.strip().splitlines() or [f"pip-audit ended with {ran.returncode}"])[-1]
    assert isinstance(told, dict)
    return told


def judged(
    lock: str, told: Mapping[str, Any] | str, ignored: Mapping[str, str], *, answers: bool = True
) -> tuple[int, list[str]]:
    """The exit code for a lock file, and what is to be said of it; `answers`: the service does, after all."""
    if isinstance(told, str):
        return int(answers), [f"not audited: {lock} ({told})"]
    packages = told["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    bad = [(one, flaw) for one in packages for flaw in one.get("vulns", [])]
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}"
        + (f", mended in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else ", not mended in any version")
        for one, flaw in bad
    ]
    lines += [f"passed over: {one}, {reason}" for one, reason in ignored.items()]
    if skipped:
        few = ", ".join(skipped[:5]) + (" and others" if len(skipped) > 5 else "")
        lines.append(f"not audited: {len(skipped)} of {len(packages)} packages of {lock} ({few})")
    if not bad and len(skipped) < len(packages):
        lines.append(f"audited: {len(packages) - len(skipped)} packages of {lock}, no vulnerability is known")
    return int(bool(bad) or len(skipped) == len(packages)), lines  # asked, and told of nothing: no audit


if __name__ == "__main__":
    sys.exit(main())
