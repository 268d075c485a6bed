"""The leaderboard as a table of a web page.

Belongs here: HTML.  Every word in it is escaped: names come from files that people write.
"""

from collections.abc import Sequence
from html import escape

from director_diffusion.leaderboard.columns import COLUMNS, HOW_TO_READ
from director_diffusion.leaderboard.rows import Entry

OUTCOME_COLOURS = {"pass": "#2e7d32", "undecided": "#8a6d00", "fail": "#b3261e"}
STYLE = (
    "<style>.leaderboard td, .leaderboard th { padding: 4px 8px; text-align: left; vertical-align: top; "
    "font-variant-numeric: tabular-nums } .leaderboard td { white-space: nowrap } "
    ".leaderboard summary { cursor: pointer } .leaderboard ul { white-space: normal; max-width: 36em }</style>"
)


def page_of(entries: Sequence[Entry]) -> str:
    """A row for each adapter; a row's director unfolds why its verdict is what it is, and what is not known of it."""
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in COLUMNS)
    rows = "".join(f"<tr>{''.join(_cell(entry, column.name) for column in COLUMNS)}</tr>" for entry in entries)
    return (
        f'{STYLE}<div style="overflow-x: auto"><table class="leaderboard"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div><p>{escape(HOW_TO_READ)}</p>"
    )


def _cell(entry: Entry, name: str) -> str:
    text = escape(next(column for column in COLUMNS if column.name == name).text(entry))
    if name == "director" and (told := (*entry.reasons, *entry.notes)):
        points = "".join(f"<li>{escape(one)}</li>" for one in told)
        return f"<td><details><summary>{text}</summary><ul>{points}</ul></details></td>"
    if name == "verdict" and entry.verdict is not None:
        return f'<td style="color: {OUTCOME_COLOURS[entry.verdict]}">{text}</td>'
    return f"<td>{text}</td>"
