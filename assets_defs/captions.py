"""Captions: what each still shows, in words, never how it is styled.

Belongs here: the captions stage and its checks.  Prompting, batching and quality rules live in
`director_diffusion.captions`; what people wrote arrives as the root `written_captions`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.common import DATASET, director_of, models_of
from director_diffusion.captions.checks import CHECKS
from director_diffusion.captions.prompt import ASKING_VERSION
from director_diffusion.specs import Base, Captioner, Project
from director_diffusion.stills.rows import STILLS_FILE, WRITTEN_FILE, Still, WrittenCaption
from director_diffusion.storage import Artifact, ItemCache
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import Resources, StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.captions.qwen import QwenCaptioner


def captions_asset(partitions: dg.PartitionsDefinition, project: Project, bases: Sequence[Base]) -> dg.AssetsDefinition:
    spec = project.captioner

    def fingerprints(resources: Resources) -> dict[str, str]:
        bases_used = {base.slug: resources.models.fingerprint(base.source) for base in bases}
        return {"captioner": resources.models.fingerprint(spec.source), **bases_used}

    @stage(
        partitions=partitions,
        group=DATASET,
        version="1",
        spec={"asking": ASKING_VERSION, "captioner": spec, "max_tokens": min(base.max_prompt_tokens for base in bases)},
        fingerprints=fingerprints,
        checks=CHECKS,
        after=models_of(spec.source, *(base.source for base in bases)),
        needs=one_gpu(),
        kinds={"qwen", "parquet"},
    )
    def captions(run: StageRun, stills: Artifact, written_captions: Artifact, director: Artifact) -> StageResult:
        """One content-only caption per still; a person's caption wins over the model's."""
        from director_diffusion.captions.caption import caption_stills
        from director_diffusion.captions.checks import judge
        from director_diffusion.captions.gallery import caption_gallery
        from director_diffusion.captions.prompt import caption_fingerprint
        from director_diffusion.captions.written import unmatched_captions
        from director_diffusion.families import longest_count
        from director_diffusion.stills.still_set import StillSet

        models, machine = run.resources.models, run.resources.machine
        person, still_set = director_of(director), StillSet.of(stills)
        fingerprint = caption_fingerprint(person, spec, models.fingerprint(spec.source))
        written = written_captions.table(WRITTEN_FILE, WrittenCaption)
        unmatched = unmatched_captions(written, stills.table(STILLS_FILE, Still))
        rows = caption_stills(
            still_set,
            written,
            person,
            spec,
            cache=ItemCache(run.store, "captions", fingerprint, ".json"),
            captioner=lambda: _captioner(run, spec),
            count_tokens=longest_count((base.family, models.base_folder(base)) for base in bases),
            max_tokens=min(base.max_prompt_tokens for base in bases),
            batch_size=machine.captioning_batch,
            out=run.out,
            progress=run.progress,
        )
        return run.result(
            facts={
                "captioned": sum(row.status == "ok" for row in rows),
                "by a person": sum(row.source == "person" for row in rows),
                "need a person": sum(row.status == "needs_person" for row in rows),
                "caption files beside no still": ", ".join(unmatched) or "–",
            },
            pictures={"gallery": caption_gallery(still_set, rows)},
            checks=judge(rows, person),
        )

    return captions


def _captioner(run: StageRun, spec: Captioner) -> "QwenCaptioner":
    from director_diffusion.captions.qwen import QwenCaptioner

    folder = run.resources.models.folder(spec.source)
    return QwenCaptioner(folder, spec, run.place.device)
