"""Guarded: gradio's blocks, of which no error tells more than it should.

Belongs here: the one place through which every call of every tab goes.  Handlers just raise.
"""

import logging
from typing import Any

import gradio as gr

from director_diffusion.errors import (
    CaptionError,
    EditError,
    EvaluationError,
    LedgerError,
    ModelError,
    OrderError,
    SpecError,
    StillsError,
    StoreError,
    TrainingError,
    TransientError,
    VoteError,
)

log = logging.getLogger(__name__)

SHOWN = (OrderError, EditError, VoteError)  # their words are for whoever asked
LOGGED = (
    CaptionError,
    EvaluationError,
    LedgerError,
    ModelError,
    SpecError,
    StillsError,
    StoreError,
    TrainingError,
    TransientError,
)
"""Their words are for who runs the server: they name files and stores, and nothing that anybody typed here."""
UNEXPECTED = "Something failed in the studio. Who runs it finds the time and place in its log."
_PLAIN = (str, int, float, type(None))
REFUSED = "This was not understood: a value is missing, or of another kind than the page sends."


class _OurError(gr.Error):
    """Words of our own: gradio's errors may repeat what was sent."""


class GuardedBlocks(gr.Blocks):
    """Blocks whose calls fail only with messages that are ours.

    Gradio itself prints a traceback with what was sent for everything but a `gr.Error` that asks it not to, and tells
    the browser the exception's own words.
    """

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """As gradio's; what a component does not take is told in one sentence that does not repeat it."""
        if _holds_file(args[1]):
            raise _told("Files are not taken here.")
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Exception as error:
            raise _told(REFUSED) from error

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """As gradio's, errors told as `told` has them.

        Of what was selected only the place and its row reach a handler: gradio looks for files in everything else.
        """
        try:
            if kwargs["block_fn"].collects_event_data:
                event = kwargs["event_data"]
                kwargs["event_data"] = gr.EventData(event.target, _selection(event._data))
            return await super().process_api(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 — whatever a handler raised ends here
            raise told(error) from None


def told(error: Exception) -> gr.Error:
    """An error as a visitor reads it.

    What is refused is told in its own words.  Of anything else the visitor learns nothing, and the log its kind and
    place, with its words only where they cannot hold what a visitor typed.
    """
    if isinstance(error, _OurError):
        return error
    if isinstance(error, gr.Error):
        return _told(REFUSED)
    if isinstance(error, SHOWN):
        return _told(str(error))
    words = f": {error}" if isinstance(error, LOGGED) else ""
    log.error("%s at %s%s", type(error).__name__, place_of(error), words)
    return _told(UNEXPECTED)


def _holds_file(value: object) -> bool:
    """Whether there is something among what was sent that gradio takes for a file: from a URL it would fetch it."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "path" in one and "meta" in one:
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def _selection(data: object) -> dict[str, object]:
    """What was selected, where it is plain values.  Raises what `_told` makes of anything else."""
    found = data if isinstance(data, dict) else {}
    index, row = found.get("index"), found.get("row_value")
    if not all(isinstance(one, _PLAIN) for one in (*_listed(index), *_listed(row))) or index is None:
        raise _told(REFUSED)
    return {"index": index, "value": None, "row_value": row}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _told(message: str) -> gr.Error:
    return _OurError(message, duration=None, print_exception=False)


def place_of(error: BaseException) -> str:
    """File and line that it was raised at."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
