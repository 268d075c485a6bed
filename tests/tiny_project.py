"""A whole project of small numbers in a folder of its own, and `director` over it, in this process or in children.

Children come from a fork server that has imported the heavy libraries once: a new process for what must be killed, at
the price of a fork.
"""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

from director_diffusion.hashing import hash_file
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact
from pipelines.cli.main import main
from tests.small_configs import change, small_configs, surroundings_of

STAGES = (
    "raw_stills",
    "still_decisions",
    "written_captions",
    "director",
    "stills",
    "captions",
    "reference_set",
    "mini/latents",
    "mini/prompt_embeddings",
    "mini_lora/pick",
    "mini_lora/adapter",
    "mini_lora/published_before",
    "mini_lora/samples",
    "mini_lora/evaluation",
    "mini_lora/votes",
    "mini_lora/release_samples",
    "mini_lora/release_evaluation",
    "mini_lora/sign_off",
    "mini_lora/model_card",
    "mini_lora/published_model",
)
"""Every asset of a director, in lineage order."""

OF_JOINT = ("mini_lora/joint_samples", "mini_lora/joint_evaluation")
"""Assets of a director that are made of the adapter of all."""

JOINT = ("mini_lora/joint_adapter", "mini_lora/joint_overview")
"""That adapter, and how it does for all."""

OF_ALL = ("leaderboard",)
"""Those that are made of all directors and recipes."""

OF_BASE = ("mini/canary",)
"""Those that all directors have in common."""

WHOLE_RUN = len(STAGES) + len(OF_BASE)
"""Stages of `director run`."""

CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(
    [
        "pipelines.cli.run",
        "dagster._core.storage.event_log.sqlite",
        "dagster._core.storage.runs.sqlite",
        "dagster._core.storage.schedules.sqlite",
        "dagster._daemon.controller",
        "director_diffusion.scenes.placeholders",
        "director_diffusion.stills.sheets",
        "director_diffusion.captions.caption",
        "director_diffusion.captions.qwen",
        "director_diffusion.pretraining.build",
        "director_diffusion.pretraining.denoiser",
        "director_diffusion.pretraining.embedder",
        "director_diffusion.training.train",
        "director_diffusion.training.plots",
        "director_diffusion.families.flux.drawing",
        "director_diffusion.sampling.draw",
        "director_diffusion.evaluation.evaluate",
        "director_diffusion.evaluation.encoders.image_encoder",
        "director_diffusion.evaluation.plots",
        "director_diffusion.publishing.card",
        "director_diffusion.voting.plots",
        "diffusers.guiders",
        "transformers.models.qwen2_5_vl.processing_qwen2_5_vl",
        "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl",
        "open_clip",
        "pandas",  # which pyarrow imports when it makes its first table
        "tests.settled",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows = json.loads(self.out)
        assert isinstance(rows, list)
        return rows


@dataclass(frozen=True)
class TinyProject:
    """Configs, store and Dagster home below `folder`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *, directors: tuple[str, ...], stills: int = 16) -> "TinyProject":
        """A project of these directors."""
        configs = small_configs(folder, stills=stills)
        change(configs, "projects/demo", directors=list(directors))
        return cls(folder)

    def copy(self, folder: Path) -> "TinyProject":
        """The same with all that it has made, elsewhere."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, symlinks=True)
        return TinyProject(folder)

    @property
    def configs(self) -> Path:
        return self.folder / "configs"

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    def stills(self, director: str) -> Path:
        """The folder into which people put a director's films."""
        return self.folder / "store" / "stills" / director

    def director(self, *arguments: str, **variables: str) -> Outcome:
        """`director <arguments>` in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, surroundings_of(self.folder, **variables)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(arguments)
        return Outcome(code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, **variables: str) -> Outcome:
        """`director run <arguments> --json` in this process."""
        return self.director("run", *arguments, "--json", **variables)

    def start(self, *arguments: str, first: Callable[[], None] | None = None) -> "Child":
        """`director run <arguments> --json` in a process of its own, after calling `first` there."""
        return Child(self, ("run", *arguments, "--json"), first)

    def begin(self, *arguments: str) -> "Child":
        """`director <arguments>` in a process of its own."""
        return Child(self, arguments, None)

    def instance(self) -> dg.DagsterInstance:
        """Dagster's records of this project; close it after use."""
        return dg.DagsterInstance.from_config(str(self.folder / "dagster_home"))

    def latest(self, stage: str, director: str | None) -> Artifact:
        """What readers of a stage see; of a base's there is no director."""
        return latest_artifact(self.store, tuple(stage.split("/")), director)

    def artifacts(self, director: str) -> dict[str, tuple[str, str]]:
        """Key and version of what readers see, by stage, as far as stages have been made."""
        made = [stage for stage in STAGES if self.store.exists(f"assets/{stage}/{director}/latest.json")]
        manifests = {stage: self.latest(stage, director).manifest for stage in made}
        return {stage: (manifest.key, manifest.version) for stage, manifest in manifests.items()}

    def assert_whole(self, director: str) -> None:
        """Every file of what readers see is there as its manifest says, and so is all that it refers to."""
        for stage in self.artifacts(director):
            artifact = self.latest(stage, director)
            for file in artifact.manifest.files:
                path = self.folder / "store" / artifact.folder / file.name
                assert hash_file(path) == file.sha256, f"{stage}: {file.name}"
            for reference in artifact.manifest.references:
                assert self.store.exists(reference), f"{stage}: {reference}"

    def items(self) -> dict[str, int]:
        """Every item of the caches, with the time of its writing in ns."""
        root = self.folder / "store" / "cache"
        return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


class Child:
    """`director` in a process of its own."""

    def __init__(self, project: TinyProject, arguments: tuple[str, ...], first: Callable[[], None] | None):
        self._out, self._err = (project.folder / f"child-{time.monotonic_ns()}.{name}" for name in ("out", "err"))
        environment = dict(surroundings_of(project.folder))
        self.process: ForkServerProcess = CHILDREN.Process(
            target=_child, args=(arguments, environment, self._out, self._err, first)
        )
        self.process.start()

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = 120, every_s: float = 0.005) -> None:
        """Wait for a moment of its life, looking so often: it needs the processor too."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            assert self.process.is_alive(), f"it ended before that:\n{self.err}"
            assert time.monotonic() < deadline, f"not reached in {timeout_s} s:\n{self.err}"
            time.sleep(every_s)

    @property
    def err(self) -> str:
        """What it has said so far."""
        return self._err.read_text()

    def kill(self) -> None:
        """SIGKILL, as the kernel's memory killer or a person sends it."""
        self.process.kill()
        self.process.join(30)

    def end(self, timeout_s: float = 120) -> Outcome:
        """Wait for its end."""
        self.process.join(timeout_s)
        if self.process.is_alive():
            self.kill()
            raise AssertionError(f"still running after {timeout_s} s:\n{self.err}")
        assert self.process.exitcode is not None
        return Outcome(self.process.exitcode, self._out.read_text(), self._err.read_text())


def _child(
    arguments: tuple[str, ...], environment: dict[str, str], out: Path, err: Path, first: Callable[[], None] | None
) -> None:
    os.environ.update(environment)
    with out.open("w") as sys.stdout, err.open("w") as sys.stderr:
        try:
            if first is not None:
                first()
            code = main(arguments)
        except BaseException:  # noqa: BLE001  # told where whoever started it reads
            traceback.print_exc()
            code = 70
    os._exit(code)
