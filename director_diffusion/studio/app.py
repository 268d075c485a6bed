"""The app: tabs on one page, and the web server's app round it.

Belongs here: which tabs there are and in which order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr
from fastapi import APIRouter

from director_diffusion.studio.guarded import GuardedBlocks
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import (
    blend,
    captions,
    checkpoints,
    compare,
    gallery,
    leaderboard,
    stills,
    trial,
    vote,
)
from director_diffusion.studio.vote.routes import add_routes as add_voting_routes

TITLE = "director-diffusion studio"
CSS = """
.title h1 { font-size: 1.1rem; font-weight: 600; margin: 0; }
.drawn img { width: 100%; height: auto; object-fit: contain; }
.overview { width: 100%; border-collapse: collapse; }
.overview th, .overview td { padding: 0.35rem 0.75rem; text-align: left; vertical-align: top; }
.card { max-width: 60rem; }
"""


@dataclass(frozen=True)
class Tab:
    """A tab of the page."""

    title: str
    lay_out: Callable[[Studio], None]
    add_routes: Callable[[APIRouter, Studio], None] | None = None  # for bytes that it serves itself


TABS: tuple[Tab, ...] = (
    Tab(gallery.TITLE, gallery.lay_out),
    Tab(trial.TITLE, trial.lay_out),
    Tab(compare.TITLE, compare.lay_out),
    Tab(blend.TITLE, blend.lay_out),
    Tab(stills.TITLE, stills.lay_out),
    Tab(captions.TITLE, captions.lay_out),
    Tab(checkpoints.TITLE, checkpoints.lay_out),
    Tab(vote.TITLE, vote.lay_out, add_voting_routes),
    Tab(leaderboard.TITLE, leaderboard.lay_out),
)


def build_app(studio: Studio, tabs: Sequence[Tab] = TABS) -> gr.Blocks:
    """The page with all tabs, and its queue."""
    limits = studio.limits
    with GuardedBlocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as blocks:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_classes="title")
        for tab in tabs:
            with gr.Tab(tab.title):
                tab.lay_out(studio)
    blocks.state_session_capacity = limits.sessions
    blocks.queue(max_size=limits.queued, default_concurrency_limit=limits.at_once, api_open=False)
    return blocks


def theme() -> gr.themes.Base:
    """Plain and calm, in the browser's own fonts: none is fetched."""
    return gr.themes.Base(
        primary_hue="slate",
        neutral_hue="gray",
        radius_size="sm",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
