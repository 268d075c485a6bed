"""Stills: what a director's files become, and why some do not.

Belongs here: the stills stage and its checks.  Decoding, bars, duplicates and the split live in
`director_diffusion.stills`.
"""

import dagster as dg

from assets_defs.common import DATASET, director_of
from director_diffusion.stills.checks import CHECKS
from director_diffusion.stills.rows import DECISIONS_FILE, NORMALISER_VERSION, RAW_FILE, RawFile, StillDecision
from director_diffusion.storage import Artifact
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def stills_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        group=DATASET,
        version="2",
        spec={"normaliser": NORMALISER_VERSION},
        kinds={"jpeg", "parquet"},
        checks=CHECKS,
    )
    def stills(run: StageRun, raw_stills: Artifact, still_decisions: Artifact, director: Artifact) -> StageResult:
        """Upright sRGB stills with no bars and no near-duplicates, split by film; a row for every file, kept or not.

        What a person decided about a still goes over the rules.
        """
        from director_diffusion.stills.checks import judge
        from director_diffusion.stills.decisions import is_rejected_by_person
        from director_diffusion.stills.ingest import ingest_stills
        from director_diffusion.stills.sheets import contact_sheet

        rules = director_of(director).stills
        raw, decisions = raw_stills.table(RAW_FILE, RawFile), still_decisions.table(DECISIONS_FILE, StillDecision)
        still_set = ingest_stills(run.store, raw, rules, run.out, run.progress, decisions)
        return run.result(
            facts={
                "kept": len(still_set.kept),
                "rejected": len(still_set.rejected),
                "train": len(still_set.train),
                "validation": len(still_set.validation),
                "held out": len(still_set.held_out),
                "rejected by people": sum(is_rejected_by_person(still) for still in still_set.rejected),
                "films": len({still.film for still in still_set.kept}),
            },
            pictures={"contact sheet": contact_sheet(still_set)},
            checks=judge(still_set, rules, decisions),
            references=still_set.references,
        )

    return stills
