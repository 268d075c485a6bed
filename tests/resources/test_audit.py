"""`make audit`: a known vulnerability fails, a reason passes over one, and what nobody could be asked about is said."""

import importlib.util
import socket
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CI = Path(__file__).parents[2] / ".ci"
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": "bad"}
CLEAN: dict[str, Any] = {"name": "numpy", "version": "2.1", "vulns": []}
FLAWED: dict[str, Any] = {"name": "pillow", "version": "1.0", "vulns": [FLAW]}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.15.0)"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", CI / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_known_vulnerability_fails(audit: ModuleType) -> None:
    code, lines = audit.judged("x.lock", {"dependencies": [CLEAN, FLAWED, SKIPPED]}, {})
    assert code == 1
    assert "pillow 1.0: PYSEC-2026-1, mended in 2.0" in lines
    assert not any(line.startswith("audited") for line in lines)


def test_what_was_not_looked_at_is_never_called_audited(audit: ModuleType) -> None:
    code, lines = audit.judged("x.lock", {"dependencies": [CLEAN, SKIPPED]}, {"PYSEC-2": "numpy: not used here"})
    assert code == 0
    assert lines == [
        "passed over: PYSEC-2, numpy: not used here",
        "not audited: 1 of 2 packages of x.lock (torch)",
        "audited: 1 packages of x.lock, no vulnerability is known",
    ]
    code, (none,) = audit.judged("x.lock", {"dependencies": [SKIPPED]}, {})
    assert code == 1, "somebody was asked, and said nothing"
    assert none.startswith("not audited: 1 of 1 packages")
    gone = audit.judged("x.lock", "no route to host", {}, answers=False)
    assert gone == (0, ["not audited: x.lock (no route to host)"])


def test_where_pip_audit_itself_fails_so_does_the_audit(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "x.lock").write_text("what is no lock file ==\n")
    monkeypatch.setattr(audit, "LOCKS", (tmp_path / "x.lock",))
    monkeypatch.setattr(audit, "unreachable", lambda method, url, asked: "")
    assert audit.main() == 1
    assert capsys.readouterr().out.startswith("not audited: x.lock (")


def test_where_no_service_answers_it_says_so_and_passes(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(audit, "SERVICES", {"pypi": ("GET", f"http://127.0.0.1:{port}/pypi/pip/json", None)})
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("not audited: no service of advisories answers here (pypi: Connection")


@pytest.mark.parametrize("entry", ["{id: X, package: y}", "{id: X, package: y, reason: ' '}", "X"])
def test_nothing_is_passed_over_without_a_reason(audit: ModuleType, entry: str) -> None:
    with pytest.raises(ValueError, match="is not an id, a package and a reason"):
        audit.read_ignored(f"ignored: [{entry}]")
    audit.read_ignored((CI / "advisories.yaml").read_text())
