"""The model card stage: a complete Hub repository folder.

Belongs here: which files the repository holds, and writing them.
"""

import csv
import json
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard

from director_diffusion.errors import PublishError
from director_diffusion.evaluation.types import Evaluation, Score
from director_diffusion.publishing.inputs import LOKR_WEIGHTS, WEIGHTS, CardInputs
from director_diffusion.publishing.metadata import card_data
from director_diffusion.publishing.provenance import provenance_of
from director_diffusion.publishing.text import card_text
from director_diffusion.sampling.images import png_bytes

if TYPE_CHECKING:
    from director_diffusion.adapters.export import ExportReport

LOKR_AS_LORA_RANK = 64  # at most: of Flux's width the exact one takes gigabytes
REPO = "repo"  # folder of the repository inside the artifact
CARD = "README.md"
GRID = "images/comparison.png"


def write_model_card(card: CardInputs, out: Path) -> Path:
    """Write the repository into `out`/repo and return that folder.  Equal inputs give equal bytes.

    Holds README.md, the weights, images/, scores.csv, evaluation.json, provenance.json and NOTICE; never a still.
    Raises PublishError where there is nothing to show or the metadata does not survive being read back.
    """
    if not card.pictures:
        raise PublishError(card.repo_id, "has no pictures of the adapter to show", "Materialize its samples first.")
    repo = out / REPO
    (repo / "images").mkdir(parents=True, exist_ok=True)
    reduced = _write_weights(card, repo)
    (repo / GRID).write_bytes(png_bytes(card.grid))
    names = [f"images/sample-{place:02d}.png" for place in range(len(card.pictures))]
    for name, picture in zip(names, card.pictures, strict=True):
        (repo / name).write_bytes(png_bytes(picture.image))
    _write_scores(repo / "scores.csv", card.evaluation)
    _write_json(repo / "evaluation.json", _evaluation_data(card.evaluation))
    _write_json(repo / "provenance.json", provenance_of(card))
    (repo / "NOTICE").write_text(_notice(card), encoding="utf-8")
    text = f"---\n{card_data(card, names)}\n---\n\n{card_text(card, GRID, reduced)}"
    (repo / CARD).write_text(text, encoding="utf-8")
    check_repo(repo)
    return repo


def _write_weights(card: CardInputs, repo: Path) -> "ExportReport | None":
    """The adapter under the name that diffusers looks for.

    diffusers cannot load a LoKr of any factors: it stands beside the LoRA nearest to it, of which is reported.
    """
    if card.recipe.adapter.kind == "lora":
        shutil.copyfile(card.adapter, repo / WEIGHTS)
        return None
    from director_diffusion.adapters.export import export_adapter

    shutil.copyfile(card.adapter, repo / LOKR_WEIGHTS)
    return export_adapter(card.adapter, repo / WEIGHTS, "lora", card.base.family, rank=LOKR_AS_LORA_RANK)


def check_repo(repo: Path) -> ModelCard:
    """The card of a repository folder.  Raises PublishError unless card, weights and the card's pictures are there."""
    for name in (CARD, WEIGHTS):
        if not (repo / name).is_file():
            raise PublishError(str(repo / name), "is missing", "Materialize the model card again.")
    try:
        card = ModelCard((repo / CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(
            str(repo / CARD), f"has metadata that cannot be read: {error}", "Mend the director's or the base's file."
        ) from error
    for shown in card.data.get("widget", []):
        if not (repo / shown["output"]["url"]).is_file():
            raise PublishError(shown["output"]["url"], "is shown by the card but missing", "Write the card again.")
    return card


def _write_scores(path: Path, evaluation: Evaluation) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Score)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(score) for score in evaluation.scores)


def _evaluation_data(evaluation: Evaluation) -> dict[str, object]:
    return {
        "verdict": asdict(evaluation.verdict),
        "effects": [asdict(effect) for effect in evaluation.effects],
        "margins": evaluation.margins.model_dump(mode="json"),
        "prompts": evaluation.prompts,
        "seeds": evaluation.seeds,
        "held_out": evaluation.held_out,
    }


def _write_json(path: Path, data: dict[str, object]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _notice(card: CardInputs) -> str:
    licence = card.base.licence
    where = f" ({licence.link})" if licence.link else ""
    return (
        f"This adapter is a derivative of {card.base.name} ({card.base.model_id}), distributed under that model's\n"
        f"licence, {licence.name or licence.id}{where}.\n"
        "Whoever passes it on must keep this notice and obey that licence.\n"
        f"\nStills it was trained on, which are not part of this repository: {card.director.stills_licence}\n"
    )
