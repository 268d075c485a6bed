"""The model card's repository: what huggingface_hub reads from it, what it holds, and what it must never hold."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from publishing_inputs import EFFECTS, HEADER, card_inputs
from safetensors import safe_open
from safetensors.numpy import save_file

from director_diffusion.captions.rows import Caption
from director_diffusion.errors import PublishError
from director_diffusion.packages import PACKAGES, package_versions
from director_diffusion.publishing.card import check_repo, write_model_card
from director_diffusion.publishing.inputs import count_data, pictures_of, repo_id_of
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import FolderSource, Guidance, HubSource, Licence, Recipe
from director_diffusion.stills.rows import Still
from director_diffusion.storage import Store

REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_the_metadata_is_what_the_hub_asks_for(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    data = ModelCard.load(write_model_card(card, tmp_path / "out") / "README.md").data
    assert data.base_model == "director-diffusion/mini"
    assert data.base_model_relation == "adapter"
    assert (data.library_name, data.pipeline_tag, data.license) == ("diffusers", "text-to-image", "apache-2.0")
    assert data.instance_prompt == "nolan style"
    assert {"text-to-image", "lora", "diffusers", "template:sd-lora", "flux"} <= set(data.tags)
    assert [shown["text"] for shown in data.widget] == [picture.prompt for picture in card.pictures]
    assert "license_name" not in data.to_dict()


def test_effects_come_back_from_the_model_index(tmp_path: Path) -> None:
    data = ModelCard.load(write_model_card(card_inputs(tmp_path), tmp_path / "out") / "README.md").data
    assert data.model_name == "nolan-mini_lora"
    found = {result.metric_type: result for result in data.eval_results}
    assert len(found) == len(EFFECTS) == 4
    for effect in EFFECTS:
        result = found[f"{effect.metric}_effect_against_{effect.against}"]
        assert result.metric_value == pytest.approx(effect.mean)
        assert result.metric_args == {"low": effect.low, "high": effect.high, "confidence": 0.95, "prompts": effect.n}


def test_a_licence_of_its_own_keeps_its_name_and_link(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    licence = Licence(id="other", name="flux-1-dev-non-commercial-license", link="https://example.org/LICENSE.md")
    source = HubSource(kind="hub", repo="black-forest-labs/FLUX.1-Krea-dev", revision=REVISION)
    base = card.base.model_copy(
        update={"licence": licence, "source": source, "model_id": source.repo, "guidance": Guidance(kind="embedded")}
    )
    repo = write_model_card(replace(card, base=base), tmp_path / "out")
    data = ModelCard.load(repo / "README.md").data
    assert (data.license, data.license_name, data.license_link) == ("other", licence.name, licence.link)
    text = (repo / "README.md").read_text()
    assert f'from_pretrained("{source.repo}", revision="{REVISION}"' in text
    assert "guidance_scale=3.5" in text
    assert licence.link in (repo / "NOTICE").read_text()
    assert json.loads((repo / "provenance.json").read_text())["base"]["revision"] == REVISION


def test_the_repository_is_complete(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    repo = write_model_card(card, tmp_path / "out")
    names = {path.relative_to(repo).as_posix() for path in repo.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "NOTICE",
        "pytorch_lora_weights.safetensors",
        "images/comparison.png",
        "images/sample-00.png",
        "images/sample-01.png",
        "scores.csv",
        "evaluation.json",
        "provenance.json",
    }
    assert (repo / "pytorch_lora_weights.safetensors").read_bytes() == card.adapter.read_bytes()
    with (repo / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert [(row["arm"], float(row["style_closeness"])) for row in scores] == [
        (score.arm, score.style_closeness) for score in card.evaluation.scores
    ]
    check_repo(repo)


def test_provenance_says_what_it_was_made_of(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    said = json.loads((write_model_card(card, tmp_path / "out") / "provenance.json").read_text())
    assert said["data"]["version"] == said["inputs"]["stills"] == "stills-version"
    assert said["data"]["held_out"] == card.counts.held_out
    assert said["base"] == {
        "model": "director-diffusion/mini",
        "family": "flux",
        "revision": None,
        "content": "base-content",
    }
    assert said["seed"] == card.recipe.seed
    assert said["recipe"]["adapter"]["rank"] == card.recipe.adapter.rank
    assert said["captions"]["template"] == "{trigger}, {caption}"
    with safe_open(card.adapter, framework="numpy") as file:
        assert said["adapter"]["header"] == file.metadata()
    assert said["packages"]["torch"]


def test_the_text_gives_every_effect_its_interval_and_the_verdict_its_reasons(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    text = (write_model_card(card, tmp_path / "out") / "README.md").read_text()
    for effect in EFFECTS:
        assert f"{effect.mean:+.4f} | 95%: {effect.low:+.4f} to {effect.high:+.4f}" in text
    for reason in card.evaluation.verdict.reasons:
        assert reason in text
    assert "**Pass.**" in text
    assert "It does not say that people would prefer them" in text
    assert "`nolan style`" in text
    assert card.director.stills_licence in text
    assert "true_cfg_scale=2.0" in text
    assert "is not on the Hub" in text


@pytest.mark.parametrize("outcome", ["fail", "undecided"])
def test_a_verdict_that_does_not_pass_is_told_as_such(tmp_path: Path, outcome: str) -> None:
    text = (write_model_card(card_inputs(tmp_path, outcome), tmp_path / "out") / "README.md").read_text()
    assert f"**{outcome.capitalize()}.**" in text
    assert "**Pass.**" not in text


def test_the_card_tells_which_step_it_is_and_who_chose_it(tmp_path: Path) -> None:
    def training(recipe: dict[str, object], **header: str) -> str:
        card = card_inputs(tmp_path)
        save_file({"x": np.zeros(1, np.float32)}, card.adapter, {**HEADER, **header})
        card = replace(card, recipe=Recipe.model_validate({**card.recipe.model_dump(), **recipe}))
        text = (write_model_card(card, tmp_path / "out") / "README.md").read_text()
        return " ".join(text.split("## Training")[1].split("## Limits")[0].split())

    assert "- Weights: the moving average after step 80, chosen by held-out loss." in training({})
    picked = training({}, step="40", strength="0.5", chosen_by="ann", chosen_why="softer")
    assert 'the moving average after step 40, at strength 0.5, picked by ann ("softer") over the held-out' in picked
    assert "held-out loss." not in picked
    assert "picked by ann over the" in training({}, chosen_by="ann")
    more = training({"init_from": "mini_less", "prior": {"pictures": 24, "weight": 0.5}})
    assert "It began with the adapter of `mini_less`." in more
    assert "24 pictures by the base itself" in more
    assert "prior preservation, weight 0.5" in more


def test_the_usage_example_is_python_that_holds_the_trigger(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    prompts = (card.plan.prompts[0].model_copy(update={"text": 'a sign that says "stop"'}), *card.plan.prompts[1:])
    card = replace(card, plan=card.plan.model_copy(update={"prompts": prompts}))
    text = (write_model_card(card, tmp_path / "out") / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert r'"nolan style, a sign that says \"stop\""' in code
    assert "width=8, height=4" in code


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    first, second = (write_model_card(card, tmp_path / name) for name in ("a", "b"))
    for path in (path for path in first.rglob("*") if path.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_odd_words_survive_the_metadata(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    odd = "'no: yes' # {x} | é — \"quoted\""
    card = replace(card, pictures=(replace(card.pictures[0], prompt=odd), *card.pictures[1:]))
    data = ModelCard.load(write_model_card(card, tmp_path / "out") / "README.md").data
    assert data.widget[0]["text"] == odd


def test_a_card_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no pictures"):
        write_model_card(replace(card_inputs(tmp_path), pictures=()), tmp_path / "out")


def test_a_base_in_a_folder_is_told_as_such(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    base = card.base.model_copy(update={"source": FolderSource(kind="folder", folder="models/x")})
    assert (
        "is not on the Hub" in (write_model_card(replace(card, base=base), tmp_path / "out") / "README.md").read_text()
    )


# --- gathering the inputs ----------------------------------------------------------------------------------------


def still(number: int, status: str, split: str, film: str) -> Still:
    return Still(
        f"s{number}",
        film,
        f"{number}.jpg",
        "",
        status,
        "",
        (),
        split,
        8,
        4,
        (),
        "",
        "",
        "0" * 16,
        0,  # type: ignore[arg-type]
    )


def caption(number: int, source: str) -> Caption:
    status = "needs_person" if source == "none" else "ok"
    return Caption(f"s{number}", "a", f"{number}.jpg", "train", "", source, status, (), 0, 1)  # type: ignore[arg-type]


def test_counts_films_splits_and_captions() -> None:
    stills = [
        still(0, "kept", "train", "a"),
        still(1, "kept", "train", "b"),
        still(2, "kept", "held_out", "c"),
        still(3, "rejected", "none", "d"),
    ]
    counts = count_data(stills, [caption(0, "person"), caption(1, "model"), caption(2, "none")])
    assert (counts.films, counts.stills, counts.train, counts.held_out, counts.rejected) == (3, 3, 2, 1, 1)
    assert (counts.captioned_by_person, counts.captioned_by_model, counts.uncaptioned) == (1, 1, 1)


def test_pictures_are_the_adapters_first_of_each_prompt(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    samples = []
    for arm in ("base", "adapter"):
        for prompt in (1, 0, 2):
            for seed in (7, 8):
                name = f"{arm}-{prompt}-{seed}.png"
                store.write(name, png_bytes(Image.fromarray(np.full((2, 2, 3), 10 * prompt + seed, np.uint8))))
                samples.append(Sample(arm, prompt, "p", f"{arm} {prompt}", "x", seed, name, name, ""))  # type: ignore[arg-type]
    pictures = pictures_of(samples, store, limit=2)
    assert [(picture.prompt, picture.seed) for picture in pictures] == [("adapter 0", 7), ("adapter 1", 7)]
    assert pictures[1].image.getpixel((0, 0)) == (17, 17, 17)


def test_names_and_versions(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    assert repo_id_of("studio", card.director, card.recipe) == "studio/nolan-mini_lora"
    decide = {"torch", "diffusers", "peft", "director-diffusion", "accelerate", "prodigyopt"}
    bitsandbytes = {"bitsandbytes"} if find_spec("bitsandbytes") else set()
    assert decide | bitsandbytes <= set(package_versions()) <= {*PACKAGES} - ({"bitsandbytes"} - bitsandbytes)


def test_importing_card_and_publication_loads_no_torch() -> None:
    code = (
        "import sys, director_diffusion.publishing.card, director_diffusion.publishing.publish;"
        "print({'torch', 'transformers', 'diffusers', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
