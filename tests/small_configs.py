"""Configs for tests of the whole graph: the shipped ones with small numbers.

Only numbers in YAML differ; the code that runs is the code that always runs.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = CONFIGS.with_name("models")
FEW_STEPS = {"steps": 6, "batch_size": 4, "checkpoint_every": 2, "preview_every": 3}


def small_configs(folder: Path, *, stills: int = 16) -> Path:
    """Copy `configs/` to `folder`/configs, with the shipped models beside it, and turn the demo down to seconds.

    Returns the new configs folder.
    """
    configs = folder / "configs"
    shutil.copytree(CONFIGS, configs)
    (folder / "models").symlink_to(MODELS)
    change(configs, "deployments/local", model_cache="model-cache", directors_at_once=1)
    change(configs, "bases/mini", min_reconstruction_psnr=0, trained_here=small_training(configs))
    change(
        configs,
        "recipes/mini_lora",
        steps=6,
        checkpoint_every=3,
        batch_size=2,
        schedule={"warmup_steps": 1},
        joint={"steps": 6},
    )
    change(
        configs,
        "projects/demo",
        captioner={**read(configs, "projects/demo")["captioner"], "max_new_tokens": 4},
        placeholder_stills={"per_director": stills, "captioned_share": 0.9},
    )
    plan = read(configs, "evaluations/mini")
    change(
        configs,
        "evaluations/mini",
        prompts=plan["prompts"][:4],
        seeds=[11],
        release_seeds=[12],
        sampling={"steps": 2, "batch_size": 4},
        margins={**plan["margins"], "memorised": 0.9},  # of so few prompts, no less can be shown
        resamples=400,
    )
    return configs


def small_training(configs: Path) -> dict[str, Any]:
    """How mini is trained, with a few steps on a few pictures; of every part."""
    spec = read(configs, "bases/mini")["trained_here"]
    parts = {name: {**part, **FEW_STEPS} for name, part in spec.items() if isinstance(part, dict) and "steps" in part}
    finishing = {**spec["denoiser"]["finishing"], "steps": 2}
    parts["denoiser"] = {**parts["denoiser"], "preview_steps": 2, "finishing": finishing}
    return {**spec, **parts, "data": {"kind": "drawn_scenes", "pictures": 64, "held_out": 24}}


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
