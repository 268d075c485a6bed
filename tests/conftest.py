"""Fixtures that several rooms share: the small model set, untrained."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mini_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base in diffusers' layout; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_base

    folder = tmp_path_factory.mktemp("mini_base")
    save_untrained_base(folder)
    return folder


@pytest.fixture(scope="session")
def mini_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained captioner in transformers' layout; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_captioner

    folder = tmp_path_factory.mktemp("mini_captioner")
    save_untrained_captioner(folder)
    return folder


@pytest.fixture(scope="session")
def mini_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained open_clip model as a local folder; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_embedder

    folder = tmp_path_factory.mktemp("mini_embedder")
    save_untrained_embedder(folder)
    return folder
