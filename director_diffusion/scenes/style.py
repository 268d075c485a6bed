"""Style: how a drawn scene looks, whatever it shows.

Belongs here: palette, grade, framing, contrast and grain as numbers, the directors' five sets of them, and applying
those that work on a finished picture.
"""


def style_vocabulary() -> tuple[str, ...]:
    """Every word of the styles' descriptions."""
    return ()
