"""The leaderboard as a table of a web page.

Belongs here: HTML.  Every word in it is escaped: names come from files that people write.
"""

from collections.abc import Sequence
from html import escape

from director_diffusion.leaderboard.columns import COLUMNS, HOW_TO_READ, Column
from director_diffusion.leaderboard.rows import Entry

OUTCOME_COLOURS = {"pass": "#2e7d32", "undecided": "#8a6d00", "fail": "#b3261e"}
NAMES = ("director", "recipe", "entrant")  # words, which may be broken; figures are not
STYLE = (
    "<style>.leaderboard { font-size: 0.85rem; border-collapse: collapse } "
    ".leaderboard td, .leaderboard th { padding: 4px 8px !important; text-align: left; vertical-align: top; "
    "font-variant-numeric: tabular-nums } "
    ".leaderboard .words { min-width: 8em; max-width: 12em; overflow-wrap: anywhere } "
    ".leaderboard .line { display: block; white-space: nowrap } "
    ".leaderboard summary { cursor: pointer } .leaderboard ul { margin: 0; max-width: 60em } "
    ".leaderboard tr.why { display: none } "
    ".leaderboard tr:has(details[open]) + tr.why { display: table-row }</style>"
)


def page_of(entries: Sequence[Entry]) -> str:
    """A row for each adapter; its director unfolds a row of why its verdict is what it is, and what is not known of it.

    Intervals stand beneath their values, so that all columns are seen at once in a window of 1,400 pixels.
    """
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in COLUMNS)
    return (
        f'{STYLE}<div style="overflow-x: auto"><table class="leaderboard"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, entries))}</tbody></table></div><p>{escape(HOW_TO_READ)}</p>"
    )


def _row(entry: Entry) -> str:
    points = "".join(f"<li>{escape(one)}</li>" for one in (*entry.reasons, *entry.notes))
    cells = "".join(_cell(entry, column, unfolds=bool(points)) for column in COLUMNS)
    why = f'<tr class="why"><td colspan="{len(COLUMNS)}"><ul>{points}</ul></td></tr>' if points else ""
    return f"<tr>{cells}</tr>{why}"


def _cell(entry: Entry, column: Column, *, unfolds: bool) -> str:
    if column.name in NAMES:
        text = escape(column.text(entry)).replace("_", "_<wbr>")
        if column.name == "director" and unfolds:
            text = f"<details><summary>{text}</summary></details>"
        return f'<td class="words">{text}</td>'
    style = ""
    if column.name == "verdict" and entry.verdict is not None:
        style = f' style="color: {OUTCOME_COLOURS[entry.verdict]}"'
    lines = "".join(f'<span class="line"{style}>{escape(line)}</span> ' for line in column.lines(entry))
    return f"<td>{lines}</td>"
