"""The tab Vote: the voting page, framed.  It asks the booth itself, past gradio's queue."""

import gradio as gr

from director_diffusion.studio.studio import Studio

TITLE = "Vote"
NO_LEDGER = (
    "There is nowhere to write votes down: this deployment's store is no folder, and it names no database. Set "
    "`votes:` in the deployment's file, then start the studio again."
)
FRAME = (
    '<iframe src="vote/" title="Vote" loading="lazy" '
    'style="width: 100%; height: max(760px, calc(100vh - 150px)); border: 0"></iframe>'
)


def lay_out(studio: Studio) -> None:
    if studio.booth is None:
        gr.Markdown(NO_LEDGER)
        return
    gr.Markdown("Two pictures of the same words: which is closer? The page stands alone too, under `vote/`.")
    gr.HTML(FRAME)
