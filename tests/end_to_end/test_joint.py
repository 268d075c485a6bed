"""One adapter of all directors, for real: refused while a director lacks something, judged for each, told by whom."""

import json
from collections import Counter
from pathlib import Path

import pytest

from director_diffusion.evaluation.beside import beside_from
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.sampling.rows import ARMS, Sample
from director_diffusion.stills.learned import learned_of
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.training.header import read_header
from tests.tiny_project import TinyProject

WEIGHTS = "pytorch_lora_weights.safetensors"
DIRECTORS = ("fincher", "nolan")


@pytest.fixture(scope="module")
def joint(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Nolan and fincher with adapters of their own, and one of both; read it, or copy it."""
    project = made.copy(tmp_path_factory.mktemp("joint") / "project")
    refused = project.director("joint")
    assert refused.code == 1
    assert "is of all directors of the project" in refused.err
    assert "no usable mini/latents and no mini/prompt_embeddings and no director of fincher" in refused.err
    assert "director run fincher --recipe mini_lora" in refused.err
    outcome = project.run("nolan", "fincher", "--until", "evaluation")
    assert outcome.code == 0, outcome.err
    made_joint = project.director("joint", "--json")
    assert made_joint.code == 0, made_joint.err
    return project


def test_x(joint: TinyProject) -> None:
    print(joint.folder)
