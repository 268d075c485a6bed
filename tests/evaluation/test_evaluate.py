"""evaluate: from samples and held-out stills to files, on a tiny open_clip model."""

import json

import numpy as np
import open_clip
import pytest
from PIL import Image
from safetensors.torch import save_file

from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.evaluation.embedder import ClipEmbedder
from director_diffusion.evaluation.evaluate import evaluate
from director_diffusion.evaluation.plots import effects_plot
from director_diffusion.evaluation.types import Evaluation, effects_from, verdict_from
from director_diffusion.hashing import hash_bytes
from director_diffusion.progress import Silent
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.rows import ARMS, Sample
from director_diffusion.specs import Director, Embedder, EvaluationPlan, FolderSource
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

PLAN = EvaluationPlan.model_validate(
    {
        "slug": "p",
        "prompts": [{"text": f"a house number {i}", "subject": "house"} for i in range(8)],
        "seeds": [0, 1],
        "embedder": {"model": "mini", "source": {"kind": "folder", "folder": "models/mini/embedder"}},
        "margins": {"style": 0.0, "prompt": 1.0},
        "resamples": 500,
    }
)
DIRECTOR = Director(slug="nolan", name="Nolan", trigger="nolan film", stills_licence="none")
BLUE, RED = (30, 60, 200), (200, 40, 30)


def picture(colour, seed):
    """A noisy picture of mostly one colour."""
    noise = np.random.default_rng(seed).integers(-25, 26, size=(48, 88, 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def still_set(store, tmp_path):
    """Blue held-out stills and red training stills."""
    rows = []
    for number, split in enumerate(("held_out", "held_out", "held_out", "train", "train")):
        file = tmp_path / "stills" / "images" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(BLUE if split == "held_out" else RED, 100 + number).save(file)
        rows.append(
            Still(
                still=f"still-{number}",
                film="film",
                name=file.name,
                sha256="",
                status="kept",
                reason="",
                warnings=(),
                split=split,
                width=88,
                height=48,
                crop=(),
                reference="",
                file=f"images/{file.name}",
                phash="",
                cluster=number,
            )
        )
    return StillSet(rows, store, tmp_path / "stills")


@pytest.fixture
def draw(store):
    """Samples of the plan whose arms have these colours."""

    def make(**colours):
        samples = []
        for arm in ARMS:
            for index, prompt in enumerate(PLAN.prompts):
                for seed in PLAN.seeds:
                    data = png_bytes(picture(colours[arm], 1000 * ARMS.index(arm) + 10 * index + seed))
                    name = f"cache/images/test/{hash_bytes(data)}.png"
                    store.write(name, data)
                    samples.append(
                        Sample(arm, index, prompt.text, prompt.text, "house", seed, name, name, hash_bytes(data))
                    )
        return samples

    return make


@pytest.fixture
def judge(mini_embedder, store, still_set, tmp_path):
    def run(samples, **changes):
        settings = {
            "still_set": still_set,
            "plan": PLAN,
            "director": DIRECTOR,
            "embedder_folder": mini_embedder,
            "embedder_fingerprint": "mini",
            "store": store,
            "device": "cpu",
            "out": tmp_path / "out",
            "progress": Silent(),
        }
        return evaluate(samples, **(settings | changes))

    return run


@pytest.fixture
def embedded(monkeypatch):
    """How many images and texts were embedded."""
    counts, images, texts = {"images": 0, "texts": 0}, ClipEmbedder.images, ClipEmbedder.texts

    def counted_images(self, some):
        counts["images"] += len(some)
        return images(self, some)

    def counted_texts(self, some):
        counts["texts"] += len(some)
        return texts(self, some)

    monkeypatch.setattr(ClipEmbedder, "images", counted_images)
    monkeypatch.setattr(ClipEmbedder, "texts", counted_texts)
    return counts


def test_an_adapter_like_the_held_out_stills_passes(draw, judge):
    found = judge(draw(base=RED, base_in_style=RED, adapter=BLUE))
    assert found.verdict.outcome == "pass"
    assert found.effect("style", "base").low > 0.01
    assert (found.prompts, found.seeds, found.held_out) == (8, 2, 3)
    assert len(found.scores) == 48


def test_closeness_to_training_stills_alone_counts_for_nothing(draw, judge):
    found = judge(draw(base=BLUE, base_in_style=BLUE, adapter=RED))  # red as the training stills are
    assert found.verdict.outcome == "fail"
    assert found.effect("style", "base").high < 0


def test_an_adapter_that_changes_nothing_never_passes(draw, judge):
    found = judge(draw(base=BLUE, base_in_style=BLUE, adapter=BLUE))
    assert found.verdict.outcome != "pass"


def test_files_say_what_was_returned_in_equal_bytes(draw, judge, tmp_path, store):
    samples = draw(base=RED, base_in_style=RED, adapter=BLUE)
    found, out = judge(samples), tmp_path / "out"
    assert Evaluation.read(out) == found
    assert effects_from(json.loads((out / "effects.json").read_text())) == found.effects
    assert verdict_from(json.loads((out / "verdict.json").read_text())) == found.verdict
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    store.delete("cache/embeddings")
    judge(samples)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_nothing_is_embedded_twice_and_no_model_loaded_for_it(draw, judge, embedded, tmp_path):
    samples = draw(base=RED, base_in_style=RED, adapter=BLUE)
    first = judge(samples)
    assert embedded == {"images": 48 + 3, "texts": 8}
    assert judge(samples, embedder_folder=tmp_path / "gone") == first
    assert embedded == {"images": 51, "texts": 8}


def test_only_new_images_are_embedded(draw, judge, embedded):
    judge(draw(base=RED, base_in_style=RED, adapter=BLUE))
    judge(draw(base=RED, base_in_style=RED, adapter=(40, 160, 60)))
    assert embedded == {"images": 51 + 16, "texts": 8}


def test_a_fresh_label_or_another_embedder_embeds_everything_anew(draw, judge, embedded):
    samples = draw(base=RED, base_in_style=RED, adapter=BLUE)
    first = judge(samples)
    assert judge(samples, fresh="week 12") == first
    assert embedded["images"] == 102
    judge(samples, embedder_fingerprint="another")
    assert embedded["images"] == 153


def test_without_held_out_stills_there_is_no_evaluation(draw, judge, still_set, store):
    none_held_out = StillSet(still_set.train, store, still_set.folder)
    with pytest.raises(EvaluationError, match="no held-out stills"):
        judge(draw(base=RED, base_in_style=RED, adapter=BLUE), still_set=none_held_out)


def test_samples_of_another_plan_are_refused(draw, judge):
    with pytest.raises(EvaluationError, match="not those of plan"):
        judge(draw(base=RED, base_in_style=RED, adapter=BLUE), plan=PLAN.model_copy(update={"seeds": (0, 2)}))


def test_a_damaged_sample_is_named(draw, judge, store):
    samples = draw(base=RED, base_in_style=RED, adapter=BLUE)
    store.write(samples[5].reference, store.read(samples[5].reference)[:60])
    with pytest.raises(EvaluationError, match="damaged") as caught:
        judge(samples)
    assert samples[5].reference in str(caught.value)


def test_vectors_have_length_one_and_do_not_depend_on_their_batch(mini_embedder):
    embedder = ClipEmbedder(mini_embedder, PLAN.embedder, device="cpu")
    images = [picture(BLUE, 1), picture(RED, 2)]
    both, alone = embedder.images(images), embedder.images(images[1:])
    assert both.dtype == np.float32
    assert np.linalg.norm(both, axis=1) == pytest.approx([1, 1])
    assert both[1] == pytest.approx(alone[0], abs=1e-5)
    texts = embedder.texts(["a house", "a car"])
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 1])
    assert not np.allclose(texts[0], texts[1])


def test_bare_weights_are_loaded_as_the_architecture_that_the_spec_names(tmp_path):
    model = open_clip.CLIP(**open_clip.get_model_config("ViT-S-32-alt"))
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    spec = Embedder(model="ViT-S-32-alt", source=FolderSource(kind="folder", folder="weights"))
    assert ClipEmbedder(tmp_path, spec, device="cpu").texts(["a house"]).shape == (1, 256)


def test_a_folder_that_is_no_open_clip_model_is_refused(tmp_path, mini_embedder):
    with pytest.raises(ModelError, match="0 weights files"):
        ClipEmbedder(tmp_path, PLAN.embedder, device="cpu")
    (tmp_path / "open_clip_config.json").write_bytes((mini_embedder / "open_clip_config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        ClipEmbedder(tmp_path, PLAN.embedder, device="cpu")
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        ClipEmbedder(tmp_path, PLAN.embedder, device="cpu")


def test_plot_shows_both_metrics(draw, judge):
    found = judge(draw(base=RED, base_in_style=RED, adapter=BLUE))
    plot = effects_plot(found.effects, found.margins)
    assert plot.mode == "RGB"
    assert plot.width > plot.height > 200
    assert plot.tobytes() == effects_plot(found.effects, found.margins).tobytes()
