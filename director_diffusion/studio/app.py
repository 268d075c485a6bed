"""The app: tabs on one page, and the web server's app round it.

Belongs here: which tabs there are and in which order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from fastapi import APIRouter

from director_diffusion.studio.guarded import GuardedBlocks
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import captions, checkpoints, gallery, stills

TITLE = "director-diffusion studio"


@dataclass(frozen=True)
class Tab:
    """A tab of the page."""

    title: str
    lay_out: Callable[[Studio], None]
    add_routes: Callable[[APIRouter, Studio], None] | None = None  # for bytes that it serves itself


TABS: tuple[Tab, ...] = (
    Tab(gallery.TITLE, gallery.lay_out),
    Tab(stills.TITLE, stills.lay_out),
    Tab(captions.TITLE, captions.lay_out),
    Tab(checkpoints.TITLE, checkpoints.lay_out),
)


def build_app(studio: Studio) -> gr.Blocks:
    """The page with all tabs, and its queue."""
    limits = studio.limits
    with GuardedBlocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as blocks:
        for tab in TABS:
            with gr.Tab(tab.title):
                tab.lay_out(studio)
    blocks.state_session_capacity = limits.sessions
    blocks.queue(max_size=limits.queued, default_concurrency_limit=limits.at_once, api_open=False)
    return blocks
