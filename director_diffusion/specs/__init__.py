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
from director_diffusion.specs.encoders import AestheticHead, Embedder, ImageEncoder, StyleProjection
from director_diffusion.specs.evaluations import TIERS, EvaluationPlan, Margins, Previews, Sampling, Tier
from director_diffusion.specs.learning import (
    AdamW,
    AdamW8bit,
    Adapter,
    LokrAdapter,
    LoraAdapter,
    Optimizer,
    Prodigy,
    Schedule,
    Targets,
)
from director_diffusion.specs.projects import (
    Captioner,
    Deployment,
    EndpointHub,
    FolderHub,
    PlaceholderStills,
    Project,
    StoreCache,
)
from director_diffusion.specs.prompts import Prompt
from director_diffusion.specs.recipes import HeldOut, Joint, Objective, Prior, Recipe, Timesteps
from director_diffusion.specs.turbo import (
    FINEST_COUNT,
    STEP_COUNTS,
    ConsistencyTurbo,
    FewStepScheduler,
    SegmentTurbo,
    StepCount,
    StockWeights,
    Turbo,
)

__all__ = [
    "FINEST_COUNT",
    "FLOWS",
    "STEP_COUNTS",
    "TIERS",
    "AdamW",
    "AdamW8bit",
    "Adapter",
    "AestheticHead",
    "Base",
    "CaptionRules",
    "Captioner",
    "ConsistencyTurbo",
    "Deployment",
    "Director",
    "Embedder",
    "EndpointHub",
    "EvaluationPlan",
    "FewStepScheduler",
    "FolderHub",
    "FolderSource",
    "Guidance",
    "HeldOut",
    "HubSource",
    "ImageEncoder",
    "Joint",
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
    "SegmentTurbo",
    "SingleFileSource",
    "Source",
    "StepCount",
    "StillsRules",
    "StockWeights",
    "StoreCache",
    "StyleProjection",
    "Targets",
    "Tier",
    "Timesteps",
    "TrainedSource",
    "Turbo",
]
