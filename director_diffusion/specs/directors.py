"""Directors: the partitions of the graph."""

from typing import Annotated

from pydantic import Field

from director_diffusion.spec_base import Plain, PositiveInt, Share, Slug, Spec, Text
from director_diffusion.specs.prompts import Prompt


class StillsRules(Spec):
    """How a director's stills are chosen.  Defaults suit film frames; a director's file may override any."""

    min_distinct: PositiveInt = Field(12, description="Fewer distinct stills than this is refused.")
    max_rejected_share: Share = Field(0.7, description="More rejected files than this share is refused.")
    held_out_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.2, description="Share of stills kept from training."
    )
    max_megapixels: Annotated[float, Field(gt=0, le=178)] = Field(
        100.0, description="Larger images are refused; above 178 Pillow itself does."
    )
    min_side: PositiveInt = Field(48, description="Stills with a shorter side (pixels, after the crop) are rejected.")
    remove_bars: bool = Field(True, description="Remove letterbox and pillarbox bars, decided per film.")
    near_duplicate_distance: Annotated[int, Field(ge=0, le=32)] = Field(
        6, description="Perceptual hashes (64 bit) at most this many bits apart are the same still."
    )


class CaptionRules(Spec):
    """What captions of this director's stills describe, and what they leave to the trigger."""

    describe: tuple[Text, ...] = Field(
        ("subject", "action", "setting", "time of day", "shot size", "camera angle"), min_length=1
    )
    omit: tuple[Text, ...] = Field(
        ("visual style", "mood", "colour palette", "lighting style", "film titles", "names of people")
    )
    forbidden_words: tuple[Text, ...] = Field((), description="Words that must not stand in a caption, such as names.")


class Director(Spec):
    """A director: one partition of the graph."""

    slug: Slug
    name: Text = Field(description="As people write it, for cards and for the 'in the style of' arm.")
    trigger: Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[^,\n]+$"), Plain] = Field(
        description="The words that call the style; put in front of every caption."
    )
    stills_licence: Text = Field(description="Where the stills come from and what may be done with them.")
    captions: CaptionRules = CaptionRules()
    stills: StillsRules = StillsRules()
    prompts: tuple[Prompt, ...] = Field(
        (),
        description="Of this director's own subjects, to judge adapters by in place of the plan's; the plan's novel "
        "ones stay. Together they must be enough for the plan's margins: 36 for a tenth of copies.",
    )
    min_captioned: Share | None = Field(None, description="If set, a smaller captioned share blocks what follows.")
