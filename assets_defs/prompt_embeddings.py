"""Prompt embeddings: what the text encoders make of every training prompt, once.

Belongs here: the stage of a base.  Joining trigger and caption, and encoding, live in `director_diffusion`.
"""

import dagster as dg

from assets_defs.common import director_of, models_of
from director_diffusion.captions.rows import FILE, Caption
from director_diffusion.prompts.rows import ENCODING_VERSION
from director_diffusion.specs import Base, EvaluationPlan
from director_diffusion.storage import Artifact, ItemCache
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def prompt_embeddings_asset(
    partitions: dg.PartitionsDefinition, base: Base, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    previews = plan.previews.prompts if plan.previews is not None else ()

    @stage(
        partitions=partitions,
        prefix=base.slug,
        group=base.slug,
        version="1",
        spec={
            "encoding": ENCODING_VERSION,
            "source": base.source,
            "max_prompt_tokens": base.max_prompt_tokens,
            "dtype": base.dtype,
            "family": base.family,
            "previews": previews,
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        after=models_of(base.source),
        needs=one_gpu(),
        kinds={"pytorch", "safetensors"},
    )
    def prompt_embeddings(run: StageRun, captions: Artifact, director: Artifact) -> StageResult:
        """The text encoders' outputs of every training prompt, of the empty one and of the previews."""
        from director_diffusion.prompts.encode import encode_prompts, prompt_fingerprint

        models = run.resources.models
        fingerprint = prompt_fingerprint(base, models.fingerprint(base.source))
        rows = encode_prompts(
            captions.table(FILE, Caption),
            director_of(director),
            base,
            models.base_folder(base),
            cache=ItemCache(run.store, "prompts", fingerprint, ".safetensors"),
            device=run.place.device,
            out=run.out,
            progress=run.progress,
            previews=previews,
        )
        return run.result(
            facts={"prompts": len(rows), "distinct": len({row.item for row in rows})},
            references=sorted({row.reference for row in rows}),
        )

    return prompt_embeddings
