"""Bars: what a benchmark promises, and how it tells whether that holds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def at_least(name: str, value: float | None, least: float) -> dict[str, Any]:
    """`value` is None where nothing was measured: then the bar is missed."""
    return {"name": name, "value": value, "bar": f">= {least:g}", "holds": value is not None and value >= least}


def above(name: str, value: float, limit: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": f"> {limit:g}", "holds": value > limit}


def at_most(name: str, value: float | None, most: float) -> dict[str, Any]:
    """As `at_least`."""
    return {"name": name, "value": value, "bar": f"<= {most:g}", "holds": value is not None and value <= most}


def within(name: str, value: float, least: float, most: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": f"{least:g}..{most:g}", "holds": least <= value <= most}


def print_report(report: Mapping[str, Any], *, as_json: bool) -> int:
    """Print an object whose `bars` list is the verdict.  Returns the exit code: 1 where a bar is missed."""
    bars: Sequence[Mapping[str, Any]] = report["bars"]
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        for name, value in report.items():
            if name != "bars":
                print(f"{name}: {json.dumps(value)}")
        for bar in bars:
            value = f"{bar['value']:.4g}" if isinstance(bar["value"], float) else str(bar["value"])
            print(f"{bar['name']:<64} {value:>10} {bar['bar']:>10}  {'holds' if bar['holds'] else 'MISSED'}")
    return 0 if all(bar["holds"] for bar in bars) else 1
