"""Generated configs: as many directors and recipes as asked, of the demo's own."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from pipelines.surroundings import CHECKOUT


def director_name(number: int) -> str:
    return f"director_{number:04}"


def recipe_name(number: int) -> str:
    return f"mini_r{number}"


def write_configs(folder: Path, directors: int, recipes: int, prompts: int | None) -> Path:
    """`folder`/configs: nolan's and mini_lora's files under many names; recipes differ in their steps, which are few.

    The plan keeps its first `prompts`; None: all.  Nothing else is less than the demo's.
    """
    configs = folder / "configs"
    shutil.rmtree(configs, ignore_errors=True)
    shutil.copytree(CHECKOUT / "configs", configs)
    models = folder / "models"
    if not models.exists():
        models.symlink_to(CHECKOUT / "models")
    director = (configs / "directors" / "nolan.yaml").read_text()
    for path in (configs / "directors").glob("*.yaml"):
        path.unlink()
    for name in map(director_name, range(directors)):
        text = director.replace("Christopher Nolan", name).replace("nolan", name.replace("_", ""))
        (configs / "directors" / f"{name}.yaml").write_text(text)
    for number in range(recipes):
        path = configs / "recipes" / f"{recipe_name(number)}.yaml"
        shutil.copy(configs / "recipes" / "mini_lora.yaml", path)
        _change(path, steps=12 + number, checkpoint_every=6)
    _change(
        configs / "projects" / "demo.yaml",
        recipes=[recipe_name(number) for number in range(recipes)],
        directors="all",
        placeholder_stills=None,  # of one director alone: `reused.prepare`
    )
    if prompts is not None:
        plan = configs / "evaluations" / "mini.yaml"
        told = yaml.safe_load(plan.read_text())
        _change(plan, prompts=told["prompts"][:prompts], margins={**told["margins"], "memorised": 0.9})
    return configs


def _change(path: Path, **values: Any) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}, sort_keys=False))
