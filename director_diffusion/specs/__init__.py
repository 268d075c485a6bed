"""Specs: everything a person decides, as typed and strict objects.

Belongs here: the pydantic models of the files under `configs/`, a module for each kind of decision, and the bounds of
every value.  Does not: where the files are (`catalog.load_catalog` is given a path), or anything that a spec causes to
happen.
"""

from director_diffusion.specs.bases import (
    FLOWS,
    Base,
    FolderSource,
    Guidance,
    HubSource,
    Licence,
    Resolution,
    SampledWith,
    SingleFileSource,
    Source,
    TrainedSource,
)
from director_diffusion.specs.directors import CaptionRules, Director, StillsRules
from director_diffusion.specs.evaluations import Embedder, EvaluationPlan, Margins, Previews, Prompt, Sampling
from director_diffusion.specs.projects import Captioner, Deployment, FolderHub, PlaceholderStills, Project
from director_diffusion.specs.recipes import (
    AdamW,
    AdamW8bit,
    Adapter,
    HeldOut,
    LokrAdapter,
    LoraAdapter,
    Objective,
    Optimizer,
    Prior,
    Prodigy,
    Recipe,
    Schedule,
    Targets,
    Timesteps,
)

__all__ = [
    "FLOWS",
    "AdamW",
    "AdamW8bit",
    "Adapter",
    "Base",
    "CaptionRules",
    "Captioner",
    "Deployment",
    "Director",
    "Embedder",
    "EvaluationPlan",
    "FolderHub",
    "FolderSource",
    "Guidance",
    "HeldOut",
    "HubSource",
    "Licence",
    "LokrAdapter",
    "LoraAdapter",
    "Margins",
    "Objective",
    "Optimizer",
    "PlaceholderStills",
    "Previews",
    "Prior",
    "Prodigy",
    "Project",
    "Prompt",
    "Recipe",
    "Resolution",
    "SampledWith",
    "Sampling",
    "Schedule",
    "SingleFileSource",
    "Source",
    "StillsRules",
    "Targets",
    "Timesteps",
    "TrainedSource",
]
