"""The model card's repository: what huggingface_hub reads from it, what it holds, and what it must never hold."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, ModelCardData
from PIL import Image
from publishing_inputs import (
    CAPTION,
    CAPTIONS,
    EFFECTS,
    FILE,
    FILM,
    HEADER,
    STAGES,
    STILLS,
    card_inputs,
    evaluation,
    with_base,
)
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from director_diffusion.adapters.files import save_adapter
from director_diffusion.errors import PublishError
from director_diffusion.evaluation.metrics.distribution import WHY_NOT_FID
from director_diffusion.evaluation.types import Outcome
from director_diffusion.hashing import hash_bytes, hash_file
from director_diffusion.packages import PACKAGES, package_versions
from director_diffusion.publishing.card import check_repo, write_model_card
from director_diffusion.publishing.files import LARGEST, files_of, shown
from director_diffusion.publishing.inputs import (
    CardInputs,
    count_data,
    fold_counts,
    grids_of,
    hashes_of,
    pictures_of,
    repo_id_of,
)
from director_diffusion.publishing.licences import FLUX_DEV_NOTICE, terms_of
from director_diffusion.publishing.metadata import card_data
from director_diffusion.publishing.provenance import provenance_of
from director_diffusion.publishing.sign_offs import SignOff
from director_diffusion.publishing.text import card_text
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import FolderSource, Guidance, HubSource, Licence, LoraAdapter, Recipe
from director_diffusion.storage import Store

REVISION = "0123456789abcdef0123456789abcdef01234567"
FLUX = "flux-1-dev-non-commercial-license"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> CardInputs:
    return card_inputs(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def repo(card: CardInputs) -> Path:
    """As written; read it, do not write to it."""
    return write_model_card(card, card.adapter.parent / "out")


def written(card: CardInputs) -> str:
    """The text alone: pictures cost most of a card's time."""
    return card_text(card, terms_of(card.base), files_of(card))


def metadata(card: CardInputs) -> ModelCardData:
    """As it is read back."""
    block = card_data(card, terms_of(card.base), files_of(card).samples)
    return ModelCard(f"---\n{block}\n---\n").data


def words(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())


def krea(card: CardInputs) -> CardInputs:
    source = HubSource(kind="hub", repo="black-forest-labs/FLUX.1-Krea-dev", revision=REVISION)
    link = f"https://huggingface.co/{source.repo}/blob/main/LICENSE.md"
    return with_base(
        card,
        source=source,
        model_id=source.repo,
        name="FLUX.1 Krea [dev]",
        licence=Licence(id="other", name=FLUX, link=link),
        guidance=Guidance(kind="embedded"),
        trained_here=None,
    )


def loadable(card: CardInputs) -> CardInputs:
    """With an adapter whose linear Flux has."""
    linear, spec = "transformer_blocks.0.attn.to_q", LoraAdapter(kind="lora", rank=2, alpha=1)
    weights = {f"{linear}.lora_{name}.weight": torch.ones(2, 2) for name in "AB"}
    save_adapter(card.adapter, weights, spec, [linear], role="transformer", metadata=HEADER)
    return card


# --- metadata ----------------------------------------------------------------------------------------------------


def test_the_metadata_is_what_the_hub_asks_for(card: CardInputs, repo: Path) -> None:
    data = ModelCard.load(repo / "README.md").data
    assert data.base_model == "director-diffusion/mini"
    assert data.base_model_relation == "adapter"
    assert (data.library_name, data.pipeline_tag, data.license) == ("diffusers", "text-to-image", "apache-2.0")
    assert data.instance_prompt == "nolan style"
    assert {"text-to-image", "lora", "diffusers", "template:sd-lora", "flux"} <= set(data.tags)
    assert [picture["text"] for picture in data.widget] == [picture.prompt for picture in card.pictures]
    assert "license_name" not in data.to_dict()


def test_a_base_that_diffusers_does_not_draw_with_names_no_library(card: CardInputs) -> None:
    data = metadata(with_base(card, family="flux_pixel", model_id="director-diffusion/mnist"))
    assert data.library_name is None
    assert "diffusers" not in data.tags


def test_judged_effects_come_back_from_the_model_index(repo: Path) -> None:
    data = ModelCard.load(repo / "README.md").data
    assert data.model_name == "nolan-mini_lora"
    found = {(result.metric_type, result.dataset_split): result for result in data.eval_results}
    judged = [effect for effect in EFFECTS if effect.metric in ("encoder", "prompt")]
    assert len(found) == len(judged) == 12
    for effect in judged:
        result = found[f"{effect.metric}_effect_against_{effect.against}", effect.part]
        assert result.metric_value == pytest.approx(effect.mean)
        asked = {"low": effect.low, "high": effect.high, "confidence": 0.95, "prompts": effect.n}
        assert result.metric_args == pytest.approx(asked)


def test_krea_has_its_licence_its_notice_and_a_file_for_comfyui(tmp_path: Path) -> None:
    card = krea(loadable(card_inputs(tmp_path)))
    repo = write_model_card(card, tmp_path / "out")
    data, text = ModelCard.load(repo / "README.md").data, (repo / "README.md").read_text()
    assert (data.license, data.license_name, data.license_link) == ("other", FLUX, card.base.licence.link)
    assert f'from_pretrained("{card.base.model_id}", revision="{REVISION}"' in text
    assert "guidance_scale=3.5" in text
    notice = (repo / "NOTICE").read_text()
    assert notice.startswith(FLUX_DEV_NOTICE)
    assert card.base.licence.link in notice
    assert FLUX_DEV_NOTICE.replace("\n", "\n> ") in text
    assert json.loads((repo / "provenance.json").read_text())["base"]["revision"] == REVISION

    name = "comfyui/nolan-mini_lora.safetensors"
    assert f"put `{name}` into `models/loras`" in text
    assert "`flux1-krea-dev.safetensors`" in text
    assert "a Flux guidance of 3.5" in words(text)
    alphas = [float(value) for key, value in load_file(repo / name).items() if key.endswith("alpha")]
    assert alphas == [1.0], "ComfyUI reads no header"


def test_an_unknown_base_is_refused(card: CardInputs, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="somebody/else"):
        write_model_card(with_base(card, model_id="somebody/else"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_odd_words_survive_the_metadata(card: CardInputs) -> None:
    odd = "'no: yes' # {x} | é — \"quoted\""
    card = replace(card, pictures=(replace(card.pictures[0], prompt=odd), *card.pictures[1:]))
    assert metadata(card).widget[0]["text"] == odd


# --- files -------------------------------------------------------------------------------------------------------


def test_the_repository_is_complete(card: CardInputs, repo: Path) -> None:
    names = {path.relative_to(repo).as_posix() for path in repo.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "NOTICE",
        "pytorch_lora_weights.safetensors",
        "images/comparison.png",
        "images/comparison-novel.png",
        "images/confusion.png",
        "images/effects.png",
        "images/sample-00.png",
        "images/sample-01.png",
        "images/training.png",
        "scores.csv",
        "evaluation.json",
        "provenance.json",
    }
    assert (repo / "pytorch_lora_weights.safetensors").read_bytes() == card.adapter.read_bytes()
    for shown_in_text in re.findall(r"!\[[^]]*\]\(([^)]*)\)", (repo / "README.md").read_text()):
        assert (repo / shown_in_text).is_file()
    check_repo(repo)


def test_stills_are_hashes_alone(repo: Path) -> None:
    said = json.loads((repo / "provenance.json").read_text())["data"]["hashes"]
    assert {entry["still"] for entry in said} == {still.still for still in STILLS if still.status == "kept"}
    for path in (path for path in repo.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for secret in (FILM, FILE, CAPTION):
            assert secret.encode() not in content, f"{path.name} tells {secret}"
        for still in STILLS:
            assert path.name == "provenance.json" or still.still.encode() not in content, "a still beside a sample"


def test_scores_have_a_row_for_each_picture(card: CardInputs, repo: Path) -> None:
    with (repo / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4
    assert rows[0].keys() == {"arm", "prompt", "novel", "noise_seed", "prompt_fidelity", "encoder"}
    found = {(row["arm"], row["prompt"], int(row["noise_seed"])): row for row in rows}
    for score in card.evaluation.scores:
        row = found[score.arm, card.plan.prompts[score.prompt_index].text, score.seed]
        assert float(row["prompt_fidelity" if score.metric == "prompt" else score.metric]) == score.value


def test_provenance_says_what_it_was_made_of(card: CardInputs, repo: Path) -> None:
    said = json.loads((repo / "provenance.json").read_text())
    assert said["data"]["version"] == said["inputs"]["stills"] == "stills-version"
    assert said["data"]["held_out"] == card.counts.held_out
    hashes = {entry["sha256"]: entry for entry in said["data"]["hashes"]}
    for still in (still for still in STILLS if still.status == "kept"):
        written_down = next((one.text for one in CAPTIONS if one.still == still.still and one.text), "")
        assert hashes[still.sha256] == {
            "sha256": still.sha256,
            "still": still.still,
            "split": still.split,
            "caption": hash_bytes(written_down.encode()) if written_down else "",
        }
    assert said["base"] == {
        "model": "director-diffusion/mini",
        "family": "flux",
        "revision": None,
        "content": "base-content",
    }
    assert said["seeds"] == {"training": card.recipe.seed, "evaluation": [11]}
    assert said["recipe"]["adapter"]["rank"] == card.recipe.adapter.rank
    assert said["captions"]["template"] == "{trigger}, {caption}"
    assert said["stages"] == [asdict(stage) for stage in STAGES]
    assert said["found"]["outcome"] == "pass"
    assert said["found"]["arms"]["adapter"]["cmmd"] == 1.5
    assert said["adapter"]["sha256"] == hash_file(card.adapter)
    with safe_open(card.adapter, framework="numpy") as file:
        assert said["adapter"]["header"] == file.metadata()
    assert said["packages"]["torch"]


def test_the_evaluation_stands_beside_the_card(card: CardInputs, repo: Path) -> None:
    said = json.loads((repo / "evaluation.json").read_text())
    assert said["verdict"]["outcome"] == "pass"
    assert len(said["effects"]) == len(EFFECTS)
    assert said["memorisation"] == asdict(card.evaluation.memorisation)


def test_pictures_are_of_a_size_to_look_at(repo: Path) -> None:
    tiny, huge = Image.new("RGB", (88, 48)), Image.new("RGB", (2432, 1312))
    assert shown(tiny).size == (176, 96)
    assert shown(huge).size == (LARGEST, 552)
    assert shown(Image.new("RGB", (1000, 400))).size == (1000, 400)
    with Image.open(repo / "images/sample-00.png") as sample:
        assert sample.size == (256, 128)


def test_equal_inputs_give_equal_bytes(card: CardInputs, repo: Path, tmp_path: Path) -> None:
    again = write_model_card(card, tmp_path)
    for path in (path for path in repo.rglob("*") if path.is_file()):
        assert path.read_bytes() == (again / path.relative_to(repo)).read_bytes()


def test_a_card_without_pictures_is_an_error(card: CardInputs, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no pictures"):
        write_model_card(replace(card, pictures=()), tmp_path / "out")


# --- words -------------------------------------------------------------------------------------------------------


def test_the_text_gives_every_judged_effect_its_interval_and_power(card: CardInputs) -> None:
    text = written(card)
    parts = {"all": "all", "own": "but the novel ones", "novel": "beyond what such stills show"}
    for effect in EFFECTS:
        told = f"{effect.mean:+.3f} ({effect.low:+.3f} to {effect.high:+.3f})"
        over_stills = effect.detectable_over_stills
        over_stills_told = "–" if over_stills is None else f"{over_stills:.3f}"
        row = f"| {parts[effect.part]} | {told} | {effect.n} × 1 | {effect.detectable:.3f} | {over_stills_told} |"
        if effect.metric in ("encoder", "prompt"):
            assert row in text
        else:
            assert (told in text) == (effect.part == "all"), "a second voice is told over all prompts"
    assert "0.028 | 0.063 |" in text, "2.8 standard errors, over prompts and over stills"


def test_the_text_tells_reasons_sets_and_limits(card: CardInputs) -> None:
    text = words(written(card))
    for finding in card.evaluation.findings:
        assert "**pass**: " + finding.reason.removeprefix("pass: ").replace("_", "\\_") in text
    assert "**Pass.**" in text
    assert "The draft had failed." in text
    assert "lie 0.100 further: 40% of that way" in text, "the bound is a tenth of the way"
    assert WHY_NOT_FID in text
    assert "25.0% lie nearer" in text
    assert "1 of 4 pictures come nearer" in text
    assert "That people would prefer these pictures" in text
    assert "`nolan style`" in text
    assert card.director.stills_licence in text
    assert "4 stills to learn from; 1 to choose the training's step by (validation); 2 for the verdict alone" in text
    assert "of 1 film of which no still was trained on" in text
    assert "| `mini_lora/adapter` | `cccccccccccc` | `dddddddddddd` | 19.7 |" in text
    assert "true_cfg_scale=2.0" in text
    assert "is not on the Hub" in text


@pytest.mark.parametrize("outcome", ["fail", "undecided"])
def test_a_verdict_that_does_not_pass_is_told_as_such(card: CardInputs, outcome: Outcome) -> None:
    text = written(replace(card, evaluation=evaluation(outcome)))
    assert f"**{outcome.capitalize()}.**" in text
    assert f"- **Verdict**: {outcome}" in text
    assert "**Pass.**" not in text
    assert "Signed off" not in text


def test_a_sign_off_stands_above_the_verdict_that_it_overrides(card: CardInputs) -> None:
    entry = SignOff("signed off", "ab" * 32, "Ann *Example*", "for a\ntrial | only", "2026-11-22T01:02:03Z")
    card = replace(card, evaluation=evaluation("fail"), sign_off=entry)
    text = written(card)
    told = r"> **Signed off by Ann \*Example\* on 2026-11-22**: for a trial \| only"
    assert text.index(told) < text.index("## Verdict")
    assert "(version abababababab) is **fail**; it may go out only because a person answers" in text
    assert provenance_of(card)["sign_off"]["who"] == "Ann *Example*"


def test_the_card_tells_which_step_it_is_and_who_chose_it(tmp_path: Path) -> None:
    def making(recipe: dict[str, object], **header: str) -> str:
        card = card_inputs(tmp_path)
        save_file({"x": np.zeros(1, np.float32)}, card.adapter, {**HEADER, **header})
        card = replace(card, recipe=Recipe.model_validate({**card.recipe.model_dump(), **recipe}))
        return words(written(card).split("## How it was made")[1].split("## Limits")[0])

    assert "- Weights: the moving average after step 80, chosen by held-out loss." in making({})
    picked = making({}, step="40", strength="0.5", chosen_by="ann", chosen_why="softer")
    assert 'the moving average after step 40, at strength 0.5, picked by ann ("softer") over the loss' in picked
    assert "chosen by held-out loss." not in picked
    assert "picked by ann over the" in making({}, chosen_by="ann")
    more = making({"init_from": "mini_less", "prior": {"pictures": 24, "weight": 0.5}})
    assert "It began with the adapter of `mini_less`." in more
    assert "24 pictures by the base itself" in more
    assert "prior preservation, weight 0.5" in more


def test_the_card_says_by_which_stills_the_verdict_was_spoken(card: CardInputs) -> None:
    verdict = words(written(card).split("## Verdict")[1].split("## Effects")[0])
    assert "The adapter's style is measured by 2 stills of 1 film of which it learned nothing" in verdict
    assert "over other stills of the director too, each in four of five trials" in verdict
    one_film = replace(card, counts=replace(card.counts, held_out_films=0))
    assert "2 stills in clusters of similar ones, of films that it learned otherwise" in words(written(one_film))


def test_a_card_of_two_folds_says_what_each_adapter_was_judged_by(tmp_path: Path) -> None:
    card = card_inputs(tmp_path)
    chosen = {"chosen_by": "folds", "chosen_why": "mean of steps 40 and 120"}
    save_file({"x": np.zeros(1, np.float32)}, card.adapter, {**HEADER, **chosen})
    learned = [replace(one, split="train") if one.status == "kept" else one for one in STILLS]
    second = [replace(one, split={"0": "held_out"}.get(one.still[-1], "train")) if one.status == "kept" else one
              for one in STILLS]  # fmt: skip
    card = replace(
        card,
        counts=count_data(learned, CAPTIONS),
        stills=hashes_of(learned, CAPTIONS),
        folds=(fold_counts(STILLS), fold_counts(second)),
    )
    text = words(written(card))
    assert "a style learned from 7 stills" in text
    assert "The published adapter learned all 7 stills, so that none are left to measure its own style by." in text
    assert (
        "the first by 2 stills of 1 film of which it learned nothing; the second by 1 still in clusters of similar ones"
        in text
    )
    assert "by its closeness to stills that it has learned, which can speak against it but not for it" in text
    assert "finds two adapters' pictures closer to stills of this director that each of them never saw" in text
    assert "all 7 stills are learned, none is held out" in text
    assert "after step 80: the nearest that was kept to the mean of steps 40 and 120, which two folds chose." in text
    assert "stills that it learned too, which tells breakage alone, is 0.4000 there" in text
    assert "held out from it" not in text
    told = provenance_of(card)["data"]
    assert (told["train"], told["held_out"], len(told["folds"])) == (7, 0, 2)
    assert {one["split"] for one in told["hashes"]} == {"train"}


def test_the_usage_example_is_python_that_holds_the_trigger(card: CardInputs) -> None:
    prompts = (card.plan.prompts[0].model_copy(update={"text": 'a sign that says "stop"'}), *card.plan.prompts[1:])
    card = replace(card, plan=card.plan.model_copy(update={"prompts": prompts}))
    code = written(card).split("```python\n")[1].split("```")[0]
    compile(code, "README.md", "exec")
    assert r'"nolan style, a sign that says \"stop\""' in code
    assert "width=8, height=4" in code


def test_a_base_in_a_folder_is_told_as_such(card: CardInputs) -> None:
    assert "is not on the Hub" in written(with_base(card, source=FolderSource(kind="folder", folder="models/x")))


def test_where_comfyui_cannot_read_it_the_card_says_so(card: CardInputs) -> None:
    pixels = with_base(card, family="flux_pixel", model_id="director-diffusion/mnist")
    assert "cannot draw with this adapter: ComfyUI knows no Flux without a VAE" in words(written(pixels))
    adapter = card.recipe.adapter.model_copy(update={"dora": True})
    dora = replace(krea(card), recipe=card.recipe.model_copy(update={"adapter": adapter}))
    assert "director export nolan --recipe mini_lora --layout comfyui" in words(written(dora))


# --- gathering the inputs ----------------------------------------------------------------------------------------


def test_counts_films_splits_and_captions() -> None:
    counts = count_data(STILLS, CAPTIONS)
    assert (counts.films, counts.stills, counts.train, counts.validation, counts.held_out) == (2, 7, 4, 1, 2)
    assert (counts.held_out_films, counts.rejected) == (1, 1)
    assert (counts.captioned_by_person, counts.captioned_by_model, counts.uncaptioned) == (1, 5, 1)
    one_film = [replace(still, film=FILM) for still in STILLS]
    assert count_data(one_film, CAPTIONS).held_out_films == 0


def drawn(store: Store, arm: str, prompt: int, seed: int, novel: bool = False) -> Sample:
    name = f"{arm}-{prompt}-{seed}.png"
    store.write(name, png_bytes(Image.fromarray(np.full((2, 2, 3), 10 * prompt + seed, np.uint8))))
    return Sample(arm, prompt, f"p{prompt}", f"{arm} {prompt}", "x", novel, seed, name, name, "")  # type: ignore[arg-type]


def test_pictures_are_the_adapters_first_of_each_prompt(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    samples = [
        drawn(store, arm, prompt, seed) for arm in ("base", "adapter") for prompt in (1, 0, 2) for seed in (7, 8)
    ]
    pictures = pictures_of(samples, store, limit=2)
    assert [(picture.prompt, picture.seed) for picture in pictures] == [("adapter 0", 7), ("adapter 1", 7)]
    assert pictures[1].image.getpixel((0, 0)) == (17, 17, 17)


def test_novel_prompts_have_a_grid_of_their_own(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    samples = [drawn(store, "adapter", prompt, 7, novel=prompt == 1) for prompt in range(3)]
    assert [(grid.prompts, grid.novel) for grid in grids_of(samples, store)] == [(("p0", "p2"), False), (("p1",), True)]
    assert [grid.novel for grid in grids_of(samples[:1], store)] == [False]


def test_names_and_versions(card: CardInputs) -> None:
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
