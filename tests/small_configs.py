"""Configs for tests of the whole graph: the shipped ones with small numbers.

Only numbers in YAML differ; the code that runs is the code that always runs.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[1] / "configs"
TINY_BUILD = {"vae_steps": 2, "denoiser_steps": 2, "embedder_steps": 2}


def small_configs(folder: Path, *, stills: int = 16) -> Path:
    """Copy `configs/` to `folder`/configs and turn the demo down to seconds.  Returns the new configs folder."""
    configs = folder / "configs"
    shutil.copytree(CONFIGS, configs)
    base = read(configs, "bases/mini")
    change(configs, "bases/mini", source={**base["source"], **TINY_BUILD}, min_reconstruction_psnr=0)
    change(configs, "recipes/mini_lora", steps=6, checkpoint_every=3, batch_size=2, schedule={"warmup_steps": 1})
    project = read(configs, "projects/demo")
    captioner = {**project["captioner"], "max_new_tokens": 4}
    captioner["source"] = {**captioner["source"], **TINY_BUILD}
    change(
        configs,
        "projects/demo",
        captioner=captioner,
        placeholder_stills={"per_director": stills, "captioned_share": 0.9},
    )
    plan = read(configs, "evaluations/mini")
    embedder = {**plan["embedder"], "source": {**plan["embedder"]["source"], **TINY_BUILD}}
    change(
        configs,
        "evaluations/mini",
        prompts=plan["prompts"][:4],
        sampling={"steps": 2, "batch_size": 4},
        embedder=embedder,
    )
    return configs


def read(configs: Path, name: str) -> dict[str, Any]:
    data = yaml.safe_load((configs / f"{name}.yaml").read_text())
    assert isinstance(data, dict)
    return data


def change(configs: Path, name: str, **values: object) -> None:
    """Set top-level keys of one file."""
    (configs / f"{name}.yaml").write_text(yaml.safe_dump({**read(configs, name), **values}, sort_keys=False))


def surroundings_of(folder: Path, **variables: str) -> Mapping[str, str]:
    """Environment variables of a project that lives below `folder` alone."""
    return {
        "DIRECTOR_CONFIGS": str(folder / "configs"),
        "DIRECTOR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "dagster_home"),
        **variables,
    }
