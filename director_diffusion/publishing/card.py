"""The model card stage: a complete Hub repository folder.

Belongs here: which files the repository holds beside its pictures, and writing them.
"""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director_diffusion.errors import PublishError
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE
from director_diffusion.publishing.files import files_of, write_pictures
from director_diffusion.publishing.inputs import LOKR_WEIGHTS, WEIGHTS, CardInputs
from director_diffusion.publishing.licences import Terms, terms_of
from director_diffusion.publishing.metadata import card_data
from director_diffusion.publishing.provenance import provenance_of
from director_diffusion.publishing.repository import CARD, REPO, check_repo
from director_diffusion.publishing.text import card_text

if TYPE_CHECKING:
    from director_diffusion.adapters.export import ExportReport

_COLUMNS = {"prompt": "prompt_fidelity"}  # of scores.csv, where a metric's name is another column's
LOKR_AS_LORA_RANK = 64  # at most: of Flux's width the exact one takes gigabytes


def write_model_card(card: CardInputs, out: Path) -> Path:
    """Write the repository into `out`/repo and return that folder.  Equal inputs give equal bytes.

    Holds README.md, the weights, images/, scores.csv, evaluation.json, provenance.json and NOTICE; for bases that
    ComfyUI loads, the adapter in its names too; of few-step students those that passed; never a still.  Raises
    PublishError where the base's licence is not known, where there is nothing to show, or where the metadata does not
    survive being read back.
    """
    terms = terms_of(card.base)
    if not card.pictures or not card.grids:
        raise PublishError(card.repo_id, "has no pictures of the adapter to show", "Materialize its samples first.")
    repo, files = out / REPO, files_of(card)
    repo.mkdir(parents=True, exist_ok=True)
    reduced = _write_weights(card, repo, files.comfyui)
    write_pictures(card, files, repo)
    _write_students(card, repo)
    _write_scores(repo / "scores.csv", card)
    evaluation = card.evaluation
    _write_json(repo / "evaluation.json", {"verdict": asdict(evaluation.verdict), **evaluation.told()})
    _write_json(repo / "provenance.json", provenance_of(card))
    (repo / "NOTICE").write_text(_notice(card, terms), encoding="utf-8")
    text = f"---\n{card_data(card, terms, files.samples)}\n---\n\n{card_text(card, terms, files, reduced)}"
    (repo / CARD).write_text(text, encoding="utf-8")
    check_repo(repo)
    return repo


def _write_weights(card: CardInputs, repo: Path, comfyui: str) -> "ExportReport | None":
    """The adapter under the name that diffusers looks for, and under `comfyui` in ComfyUI's names, unless that is "".

    diffusers cannot load a LoKr of any factors: it stands beside the LoRA nearest to it, of which is reported.
    """
    family, lora = card.base.family, card.recipe.adapter.kind == "lora"
    if comfyui:
        from director_diffusion.adapters.export import export_adapter

        (repo / comfyui).parent.mkdir(parents=True, exist_ok=True)
        export_adapter(card.adapter, repo / comfyui, "comfyui", family)
    if lora:
        shutil.copyfile(card.adapter, repo / WEIGHTS)
        return None
    from director_diffusion.adapters.export import export_adapter

    shutil.copyfile(card.adapter, repo / LOKR_WEIGHTS)
    return export_adapter(card.adapter, repo / WEIGHTS, "lora", family, rank=LOKR_AS_LORA_RANK)


def _write_students(card: CardInputs, repo: Path) -> None:
    """Those that passed, and what is said of all."""
    if card.students is None:
        return
    for student in card.students.going_out:
        shutil.copyfile(student.weights, repo / student.file)
    _write_json(repo / FEW_STEPS_FILE, [asdict(one) for one in card.students.judged])


def _write_scores(path: Path, card: CardInputs) -> None:
    """A row for each picture, a column for each metric."""
    rows: dict[tuple[str, int, int], dict[str, Any]] = {}
    for score in card.evaluation.scores:
        picture = {
            "arm": score.arm,
            "prompt": card.plan.prompts[score.prompt_index].text,
            "novel": card.plan.prompts[score.prompt_index].novel,
            "noise_seed": score.seed,
        }
        rows.setdefault((score.arm, score.prompt_index, score.seed), picture)[
            _COLUMNS.get(score.metric, score.metric)
        ] = score.value
    titles = list(dict.fromkeys(title for row in rows.values() for title in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, titles, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def _write_json(path: Path, data: Mapping[str, Any] | Sequence[Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _notice(card: CardInputs, terms: Terms) -> str:
    return f"""{terms.notice}

This adapter is a derivative of {card.base.name} ({card.base.model_id}), made by training on stills, and distributed
under that model's licence, {terms.title}, a copy of which is at
{terms.link}
Whoever passes it on must keep this notice and obey that licence. The base's own files are not part of this repository.

Stills it was trained on, which are not part of this repository either: {card.director.stills_licence}
"""
