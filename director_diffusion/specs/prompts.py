"""Prompts: what adapters are asked to draw when they are judged."""

from pydantic import Field

from director_diffusion.spec_base import Spec, Text


class Prompt(Spec):
    """One evaluation prompt, without a trigger."""

    text: Text
    subject: Text
    novel: bool = Field(False, description="Beyond what such stills show; told apart in the scores.")
