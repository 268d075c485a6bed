"""`director init`: a repository of one's own beside an installed director-diffusion.

Belongs here: which of the shipped files it begins with, and the few that join it to Dagster.
"""

import shutil
from pathlib import Path

from director_diffusion.catalog import Catalog, load_catalog
from director_diffusion.specs import FolderSource, Project
from pipelines.cli.out_file import check_new_folder, put_folder_in_place
from pipelines.surroundings import shipped

_WHOLE = ("bases", "recipes", "evaluations", "dagster", "schemas")  # of configs/: what there is to choose of
_EXAMPLE = "anderson"

DEFINITIONS = '''\
"""What Dagster loads: director-diffusion over the configs beside this file."""

import os
from pathlib import Path

os.environ["DIRECTOR_CONFIGS"] = str(Path(__file__).resolve().parent / "configs")

from pipelines.definitions import defs  # noqa: E402, F401  # it reads that variable
'''

WORKSPACE = """\
load_from:
  - python_file:
      relative_path: definitions.py
      location_name: director-diffusion
"""

GITIGNORE = """\
.director/
.cache/
.venv/
__pycache__/
/data/
"""

README = """\
# {name}

Style adapters by director-diffusion, which is installed beside this folder. What a person decides is YAML:

| folder | holds |
|---|---|
| `configs/projects/{project}.yaml` | what is made: recipes, captioner, evaluation plan, directors |
| `configs/deployments/{deployment}.yaml` | where it runs: store, executor, GPUs, hub |
| `configs/directors/` | a file for each director; `{example}.yaml` is an example to change or to delete |
| `configs/bases/`, `recipes/`, `evaluations/` | what there is to choose of |
| `configs/dagster/` | what a new `DAGSTER_HOME` begins with: SQLite or Postgres, limits of its queue |
{models}
In this folder or below it, `director` takes these configs; elsewhere, set `DIRECTOR_CONFIGS`. As long as there is one
project and one deployment, no variable has to name them. The store is where the deployment says.

director-diffusion itself is installed from the wheel of its checkout (`uv build --wheel`).

```
director doctor                                # what this machine has and lacks
director add varda --stills ~/stills/varda     # or `director import kohya`, `imagefolder`, `film`
director run varda                             # the whole graph for this director, without the UI
director dev                                   # Dagster's UI and daemon over the same store
```

This folder is a code location for a Dagster of yours, too: docs/own_repository.md in director-diffusion's checkout
tells how.

## After an upgrade of director-diffusion

Configs here are yours: no upgrade changes them. `director doctor` names what a new version no longer reads.
"""


def init_command(folder: str, *, project: str, deployment: str) -> int:
    """Write the repository whole, or nothing."""
    catalog = load_catalog(shipped() / "configs")
    chosen = catalog.project(project)
    catalog.deployment(deployment)
    target = Path(folder).expanduser().resolve()
    check_new_folder(target, "folder")
    models = _models(catalog, chosen)
    with put_folder_in_place(target, "folder") as out:
        for kind in _WHOLE:
            shutil.copytree(catalog.folder / kind, out / "configs" / kind)
        for kind, slug in (("projects", project), ("deployments", deployment), ("directors", _EXAMPLE)):
            (out / "configs" / kind).mkdir()
            shutil.copyfile(catalog.folder / kind / f"{slug}.yaml", out / "configs" / kind / f"{slug}.yaml")
        for model in models:
            shutil.copytree(shipped() / model, out / model)
        load_catalog(out / "configs")
        row = "".join(f"| `{model}/` | models that these configs use |\n" for model in models)
        readme = README.format(name=target.name, project=project, deployment=deployment, example=_EXAMPLE, models=row)
        files = {
            "definitions.py": DEFINITIONS,
            "workspace.yaml": WORKSPACE,
            ".gitignore": GITIGNORE,
            "README.md": readme,
        }
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    print(f"Wrote {target}. Next: cd {target} && director doctor")
    return 0


def _models(catalog: Catalog, project: Project) -> list[str]:
    """Folders of shipped models that a project uses: the second level of what its sources name."""
    plan = catalog.evaluations[project.evaluation]
    sources = [
        *(base.source for base in catalog.project_bases(project)),
        project.captioner.source,
        *plan.sources(project.captioner.source).values(),
    ]
    folders = [Path(source.folder) for source in sources if isinstance(source, FolderSource)]
    used = {Path(*folder.parts[:2]).as_posix() for folder in folders if not folder.is_absolute()}
    return sorted(name for name in used if (shipped() / name).is_dir())
