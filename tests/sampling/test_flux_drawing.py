"""FluxPainter: the same noise in every arm and batch, guidance as the base takes it, adapters put on and off."""

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline

from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.families import get_family

SIZE = {"width": 64, "height": 48, "steps": 2}


@pytest.fixture(scope="module")
def painter(mini_base):
    return get_family("flux").load_painter(
        mini_base, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=48
    )


@pytest.fixture
def noises(monkeypatch):
    """The initial latents of every drawing, one row an image."""
    seen, prepare = [], FluxPipeline.prepare_latents

    def recorded(*args, **kwargs):
        latents, ids = prepare(*args, **kwargs)
        seen.append(latents.clone())
        return latents, ids

    monkeypatch.setattr(FluxPipeline, "prepare_latents", recorded)
    return seen


def draw(painter, prompts, seeds, guidance=2.0):
    return [np.asarray(image) for image in painter.draw(prompts, seeds, guidance=guidance, **SIZE)]


def test_images_have_the_size_asked_for(painter):
    (image,) = painter.draw(["a red house"], [0], guidance=2.0, **SIZE)
    assert (image.size, image.mode, image.info) == ((64, 48), "RGB", {})


def test_noise_of_a_seed_is_the_same_in_every_batch_and_arm(painter, noises, make_adapter):
    draw(painter, ["a", "b", "c"], [7, 8, 9])
    draw(painter, ["another prompt"], [8])
    painter.attach(make_adapter())
    draw(painter, ["nolan, b", "x"], [9, 8])
    painter.detach()
    batch, alone, adapter = noises
    assert torch.equal(batch[1], alone[0])
    assert torch.equal(batch[1], adapter[1])
    assert torch.equal(batch[2], adapter[0])
    assert not torch.equal(batch[0], batch[1])


def test_an_image_does_not_depend_on_its_batch(painter):
    together = draw(painter, ["a red house", "a car on a road"], [1, 2])
    alone = draw(painter, ["a car on a road"], [2])
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1  # of 255: summation order differs with batch size


def test_prompt_and_guidance_matter_where_guidance_is_classifier_free(painter):
    plain, guided = (draw(painter, ["a red house"], [3], guidance=g)[0] for g in (1.0, 8.0))
    assert not np.array_equal(plain, guided)
    assert not np.array_equal(guided, draw(painter, ["a car"], [3], guidance=8.0)[0])


def test_guidance_below_one_is_refused(painter):
    with pytest.raises(EvaluationError, match="below 1"):
        draw(painter, ["a"], [0], guidance=0.5)


def test_embedded_guidance_of_a_base_that_takes_none_is_refused(mini_base):
    with pytest.raises(ModelError, match="classifier_free"):
        get_family("flux").load_painter(
            mini_base, device="cpu", dtype=torch.float32, guidance_kind="embedded", max_tokens=48
        )


def test_a_size_that_does_not_fit_the_latents_is_refused(painter):
    with pytest.raises(EvaluationError, match="multiples of"):
        painter.draw(["a"], [0], width=65, height=48, steps=1, guidance=2.0)


def test_an_adapter_changes_the_image_and_detaching_gives_the_same_bits_back(painter, make_adapter):
    before = draw(painter, ["a red house"], [4])
    painter.attach(make_adapter(seed=1))
    first = draw(painter, ["a red house"], [4])
    painter.attach(make_adapter(seed=2))  # takes the first one's place
    second = draw(painter, ["a red house"], [4])
    painter.attach(make_adapter(seed=1))
    again = draw(painter, ["a red house"], [4])
    painter.detach()
    after = draw(painter, ["a red house"], [4])
    assert not np.array_equal(before, first)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.removeprefix("transformer."),
        lambda name: name.replace("to_q", "to_query"),
        lambda name: name.replace("transformer_blocks.0", "transformer_blocks.9"),
        lambda name: name.replace("attn.to_q", "ff.net.2"),
    ],
    ids=["no prefix", "unknown layer", "unknown block", "other shape"],
)
def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_base_alone(painter, make_adapter, rename):
    before = draw(painter, ["a red house"], [5])
    with pytest.raises(ModelError, match="does not fit"):
        painter.attach(make_adapter(rename=rename))
    assert np.array_equal(before, draw(painter, ["a red house"], [5]))


def test_values_that_are_not_finite_are_an_error_not_a_black_image(painter, make_adapter):
    painter.attach(make_adapter(scale=float("nan")))
    with pytest.raises(EvaluationError, match="not finite"):
        draw(painter, ["a red house"], [6])
    painter.detach()


def test_drawing_shows_no_bars(painter, capfd):
    draw(painter, ["a"], [0])
    assert "it/s" not in capfd.readouterr().err
