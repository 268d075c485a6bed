"""Claims: what is asked of an adapter, and where the bounds lie."""

import dataclasses

import numpy as np
import pytest

from director_diffusion.evaluation.claims import Evidence, Published, claims
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt
from director_diffusion.evaluation.verdict import judge
from director_diffusion.specs import EvaluationPlan

PROMPTS, SEEDS = 48, 2
SOURCE = {"kind": "folder", "folder": "f"}
OWN, RIVAL = np.eye(8)[0], np.eye(8)[1]


def plan(**changes):
    margins = {"style": 0.25, "prompt": 0.02, "memorised": 0.1, "diversity": 0.8, "regression": 0.25}
    return EvaluationPlan.model_validate(
        {
            "slug": "p",
            "prompts": [{"text": f"prompt {i}", "subject": "s"} for i in range(36)],
            "embedder": {"model": "m", "source": SOURCE},
            "encoder": {"model": "m", "source": SOURCE},
            "style_by": "encoder",
            "margins": margins | changes.pop("margins", {}),
            "resamples": 1000,
            **changes,
        }
    )


def around(mean, seed, prompts=PROMPTS):
    """Scores (prompts, seeds) of this very mean that scatter by 0.02."""
    noise = np.random.default_rng(seed).normal(size=(prompts, SEEDS))
    return mean + 0.02 * (noise - noise.mean())


def pictures(spread, seed, toward=OWN):
    rows = toward + spread * np.random.default_rng(seed).normal(size=(PROMPTS, SEEDS, 8))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def lead(drawn, rival=RIVAL):
    """How much nearer pictures are to the director's own stills than to a rival's."""
    return drawn.astype(np.float64) @ (OWN - rival)


def grids(style=0.6, prompt=0.3, prompts=PROMPTS, seed=0, **others):
    """Scores of the adapter, beside others': a base at 0.4, one asked by name at 0.5, prompt fidelity 0.3 in both."""
    closeness = {"adapter": style, "base": 0.4, "base_in_style": 0.5, **others}
    fidelity = {**dict.fromkeys(closeness, 0.3), "adapter": prompt}
    return {
        metric: {arm: around(mean, [seed, place], prompts) for place, (arm, mean) in enumerate(by_arm.items())}
        for metric, by_arm in (("encoder", closeness), ("prompt", fidelity))
    }


def evidence(**changes):
    """Evidence for an adapter that keeps every margin."""
    drawn = {"adapter": pictures(0.7, 0), "base": pictures(0.5, 1), "base_in_style": pictures(0.5, 2)}
    return Evidence(
        **{
            "grids": grids(),
            "pictures": drawn,
            "reference": 0.7,
            "released": {},
            "nearest": np.full((PROMPTS, SEEDS), 0.8),
            "threshold": 0.9,
            "lead": {"fincher": lead(drawn["adapter"])},
            "published": None,
            **changes,
        }
    )


def asked(given, **changes):
    return {claim.name: claim for claim in claims(given, plan(**changes))}


def answers(given, **changes):
    return {finding.name: finding.outcome for finding in judge(claims(given, plan(**changes)), 0.95)}


def test_all_is_asked_in_order_and_holds_for_a_good_adapter():
    found = answers(evidence())
    names = ["style_base", "style_base_in_style", "prompt_base", "prompt_base_in_style", "memorised", "diversity"]
    assert list(found) == [*names, "nearer_than_fincher"]
    assert set(found.values()) == {"pass"}


# style


def test_styles_bound_is_the_plans_share_of_the_way_to_the_directors_own_stills():
    found = asked(evidence())
    assert found["style_base"].bound == pytest.approx(0.25 * (0.7 - 0.4))
    assert found["style_base_in_style"].bound == pytest.approx(0.25 * (0.7 - 0.5))
    assert asked(evidence(), margins={"style": 0.5})["style_base"].bound == pytest.approx(0.5 * 0.3)


def test_no_way_is_left_where_an_arm_is_as_close_as_the_stills_are():
    found = asked(evidence(reference=0.45))
    assert found["style_base"].bound == pytest.approx(0.25 * 0.05)
    assert found["style_base_in_style"].bound == 0, "and better than it the adapter must be still"


def test_the_bound_is_only_as_sure_as_the_prompts_that_it_is_estimated_from():
    """An adapter that goes a little more than the plan's share of the way for every prompt, however far that is."""
    arms = grids()["encoder"]
    base = arms["base_in_style"] + 0.2 * np.random.default_rng(5).normal(size=(PROMPTS, 1))
    along = base + 0.26 * (0.7 - base) + 0.001 * np.random.default_rng(6).normal(size=base.shape)
    given = evidence(grids={**grids(), "encoder": {**arms, "base_in_style": base, "adapter": along}})
    claim = asked(given)["style_base_in_style"]
    assert claim.test.mean == pytest.approx(float((along - base).mean()))
    assert answers(given)["style_base_in_style"] == "pass"
    everywhere = {**arms, "base_in_style": base, "adapter": base + 0.28 * (0.7 - base.mean())}
    noisy = asked(evidence(grids={**grids(), "encoder": everywhere}))["style_base_in_style"]
    assert noisy.test.error > 0.005, "the same gain for all prompts, against a bound that hangs on which were asked"


@pytest.mark.parametrize(("style", "outcome"), [(0.5, "fail"), (0.55, "undecided"), (0.6, "pass")])
def test_style_must_lie_above_its_bound_and_not_on_it(style, outcome):
    assert answers(evidence(grids=grids(style=style)))["style_base_in_style"] == outcome


def test_style_is_what_the_plan_says_it_is():
    both = grids()
    both["clip"] = dict.fromkeys(both["encoder"], around(0.5, 9))
    assert answers(evidence(grids=both), style_by="encoder")["style_base"] == "pass"
    assert answers(evidence(grids=both), style_by="embedder")["style_base"] == "fail"


def test_where_others_stand_for_it_the_adapter_itself_must_not_have_lost_the_style():
    arms = grids()["encoder"]
    kept, lost = ({**arms, "adapter": arms["base_in_style"] + gain} for gain in (0.1, 0.0))
    found = answers(evidence(released=kept))
    assert found["released_style_base"] == found["released_style_base_in_style"] == "pass"
    assert answers(evidence(released=lost))["released_style_base_in_style"] == "fail"


# prompts


@pytest.mark.parametrize(("prompt", "outcome"), [(0.3, "pass"), (0.28, "undecided"), (0.25, "fail")])
def test_prompts_must_be_followed_no_worse_than_by_the_margin(prompt, outcome):
    found = asked(evidence(grids=grids(prompt=prompt)))
    assert found["prompt_base"].bound == found["prompt_base_in_style"].bound == -0.02
    told = answers(evidence(grids=grids(prompt=prompt)))
    assert {told["prompt_base"], told["prompt_base_in_style"]} == {outcome}


# memorisation


def near(prompts, seeds=1):
    """The nearest still's cosine, beyond the threshold for `seeds` pictures of each of the first `prompts`."""
    nearest = np.full((PROMPTS, SEEDS), 0.9)  # on the threshold is not beyond it
    nearest[:prompts, :seeds] = 0.95
    return nearest


def test_of_48_prompts_few_may_come_too_near_a_training_still():
    claim = asked(evidence(nearest=near(0)))["memorised"]
    assert (claim.test.mean, claim.test.n, claim.above) == (0, 48, False)
    for seeds in (1, 2):  # the margin, and the 1 % of pictures that lie beyond a 99th percentile anyhow
        bound = asked(evidence(nearest=near(0)[:, :seeds]))["memorised"].bound
        assert bound == pytest.approx(0.1 + 0.9 * (1 - 0.99**seeds))
    for prompts in (0, 1):
        assert answers(evidence(nearest=near(prompts)))["memorised"] == "pass"
    assert answers(evidence(nearest=near(3)))["memorised"] == "undecided"
    assert answers(evidence(nearest=near(16)))["memorised"] == "fail"


def test_a_prompt_counts_once_however_many_of_its_pictures_are_too_near():
    assert asked(evidence(nearest=near(6, seeds=1)))["memorised"].test.mean == 6 / 48
    assert asked(evidence(nearest=near(6, seeds=2)))["memorised"].test.mean == 6 / 48


# diversity


def test_pictures_must_be_as_unlike_each_other_as_the_plans_share_of_the_bases():
    arms = evidence().pictures
    expected = [distances_by_prompt(arms[arm]).mean() for arm in ("adapter", "base")]
    claim = asked(evidence())["diversity"]
    assert claim.test.mean == pytest.approx(expected[0] - 0.8 * expected[1])
    alike = {**arms, "adapter": pictures(0.05, 7)}
    assert answers(evidence(pictures=alike))["diversity"] == "fail"
    assert answers(evidence(pictures=alike), margins={"diversity": 0.001})["diversity"] == "pass"


# other directors


def test_an_adapter_nearer_to_another_director_fails():
    given = evidence(lead={"fincher": lead(pictures(0.5, 0, toward=RIVAL))})
    assert answers(given)["nearer_than_fincher"] == "fail"


def test_one_in_the_middle_of_two_is_no_failure_and_no_pass_unless_it_leans_to_its_own():
    for lean, outcome in ((0.02, "pass"), (-0.02, "undecided")):
        middle = pictures(0.5, 0, toward=OWN + RIVAL)
        shift = lean - float(middle.reshape(-1, 8).mean(axis=0) @ (OWN - RIVAL))
        shifted = middle + (shift / 2 * (OWN - RIVAL)).astype(np.float32)
        assert answers(evidence(lead={"fincher": lead(shifted)}))["nearer_than_fincher"] == outcome


def test_every_other_director_is_asked_about_and_none_without_any():
    rivals = {"villeneuve": RIVAL, "anderson": np.eye(8)[2], "fincher": np.eye(8)[3]}
    leads = {slug: lead(pictures(0.5, 0), rival) for slug, rival in rivals.items()}
    found = [name for name in asked(evidence(lead=leads)) if name.startswith("nearer")]
    assert found == ["nearer_than_anderson", "nearer_than_fincher", "nearer_than_villeneuve"]
    assert not [name for name in asked(evidence(lead={})) if name.startswith("nearer")]


# the version published before


def published(style, before=0.7, prompt=0.3, prompts=20):
    return Published(grids(style=style, prompt=prompt, prompts=prompts, seed=1, published=before), prompts)


def test_of_the_style_effect_of_the_version_before_the_plans_share_may_go():
    """It had gained 0.2 over the base asked by name: a quarter of that is 0.05."""
    given = dataclasses.replace(evidence(), published=published(0.7))
    found = asked(given)
    assert found["style_published"].bound == pytest.approx(-0.25 * 0.2)
    assert found["prompt_published"].bound == -0.02
    assert found["style_published"].test.n == 20, "over common prompts alone"


@pytest.mark.parametrize(("style", "outcome"), [(0.7, "pass"), (0.65, "undecided"), (0.6, "fail")])
def test_style_may_fall_behind_the_version_before_by_no_more(style, outcome):
    assert answers(dataclasses.replace(evidence(), published=published(style)))["style_published"] == outcome


@pytest.mark.parametrize(("prompt", "outcome"), [(0.3, "pass"), (0.28, "undecided"), (0.25, "fail")])
def test_nor_may_prompts_be_followed_worse_than_by_it(prompt, outcome):
    given = dataclasses.replace(evidence(), published=published(0.7, prompt=prompt))
    assert answers(given)["prompt_published"] == outcome


def test_of_a_version_before_that_had_no_style_nothing_may_go():
    given = dataclasses.replace(evidence(), published=published(0.5, before=0.4))
    assert asked(given)["style_published"].bound == 0


def test_where_style_cannot_be_compared_prompts_are_alone():
    before = published(0.7)
    given = dataclasses.replace(evidence(), published=Published({"prompt": before.grids["prompt"]}, 20))
    assert [name for name in asked(given) if name.endswith("_published")] == ["prompt_published"]
