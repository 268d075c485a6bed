"""Header: what a student's file says of itself, wherever it goes."""

import json
from pathlib import Path

from director_diffusion.distillation.job import StudentJob
from director_diffusion.hashing import hash_file
from director_diffusion.training.header import read_header

OF_THE_ADAPTER = ("director", "trigger", "prompt_template", "base_model", "base_content", "recipe", "data")


def header_of_student(job: StudentJob, adapter: Path) -> dict[str, str]:
    """What it shares with the adapter that it is worn on, which that is, and how it was taught."""
    own = read_header(adapter)
    return {
        **{name: own[name] for name in OF_THE_ADAPTER if name in own},
        "worn_on": hash_file(adapter),
        "turbo_spec": json.dumps(job.turbo.model_dump(mode="json", exclude={"step_counts"}), sort_keys=True),
        "teacher_guidance": f"{job.guidance:g}",
        "taught_on_model": job.base.model_id,
        "taught_on_content": job.base_fingerprint,
        "seed": str(job.turbo.seed),
    }
