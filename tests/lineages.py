"""A director's whole lineage in a store, written as the stages write it, in milliseconds: for what reads lineages.

Every artifact is a real one, with tables of the stages' row types and inputs by version; only the numbers are made up.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.publishing.sign_offs import SignOff
from director_diffusion.releases.header import with_metadata
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.rows import RAW_FILE, STILLS_FILE, WRITTEN_FILE, RawFile, Still, WrittenCaption
from director_diffusion.storage import Artifact, Manifest, Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import (
    content_version,
    describe_files,
    find_artifact,
    latest_artifact,
    set_latest,
    write_artifact,
)
from director_diffusion.tables import write_table
from director_diffusion.training.rows import RESULT_FILE, WEIGHTS

RECIPE, BASE, DIRECTOR = "mini_lora", "mini", "nolan"
MORE = "mini_more"  # a recipe that starts from the other's adapter
SPLITS = ("train", "train", "train", "held_out", "validation", "rejected")  # of still-0, still-1, …
SPEC = {"slug": RECIPE, "base": BASE, "adapter": {"kind": "lora", "rank": 2}, "steps": 6, "seed": 0}


def still_id(number: int) -> str:
    return short(hash_data({"still": number}))


def raw_sha256(number: int) -> str:
    return hash_bytes(picture(number))


def picture(number: int) -> bytes:
    """The bytes of a raw file."""
    return f"picture {number}".encode()


def sample(step: int) -> bytes:
    """What the adapter of that step draws: grey, the lighter the later."""
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (10 * step,) * 3).save(data, "png")
    return data.getvalue()


def header(step: int, **more: str) -> dict[str, str]:
    """What a training writes into its file."""
    return {
        "director": DIRECTOR,
        "trigger": "nolan style",
        "recipe": RECIPE,
        "recipe_spec": json.dumps(SPEC),
        "training": "0123456789abcdef",
        "seed": "0",
        "step": str(step),
        "strength": "1",
        "chosen_by": "held-out loss",
        "chosen_why": "",
        "base_model": "director-diffusion/mini",
        "base_content": "org/base@0123",
        "packages": json.dumps({"torch": "2.15.0"}),
        **more,
    }


@dataclass(frozen=True)
class Published:
    """One adapter version and what came of it."""

    version: str
    adapter: Artifact
    draft: Artifact  # evaluation
    evaluation: Artifact  # the deciding one
    card: Artifact
    publication: Artifact
    commit: str


class Lineage:
    """What stages would have made for one director."""

    def __init__(self, store: Store, director: str = DIRECTOR, *, brought: bool = True):
        """`brought` are the stills that `still_id` numbers; without them a director has stills of its own."""
        self.store, self.director, self.first = store, director, 0 if brought else 100
        self.splits, self.made = list(SPLITS), datetime(2026, 11, 22, tzinfo=UTC)
        self.dataset = self._dataset()

    def reject(self, number: int) -> None:
        """What is made from now on is made without that still."""
        self.splits[number] = "rejected"
        self.dataset = self._dataset()

    def _dataset(self) -> dict[str, Artifact]:
        """From raw stills to latents and prompts."""
        splits = list(enumerate(self.splits, self.first))
        raw = self.make(
            ("raw_stills",),
            {},
            tables={
                RAW_FILE: [
                    _row(
                        RawFile,
                        name=f"stills/{self.director}/film/{n}.jpg",
                        film="film",
                        file=f"{n}.jpg",
                        role="image",
                        sha256=raw_sha256(n),
                    )
                    for n, _ in splits
                ]
            },
        )
        spec = self.make(("director",), {}, json_files={"director.json": {"slug": self.director}})
        stills = self.make(
            ("stills",),
            {"raw_stills": raw, "director": spec},
            tables={
                STILLS_FILE: [
                    _row(
                        Still,
                        still=still_id(n),
                        film="film",
                        name=f"{n}.jpg",
                        sha256=raw_sha256(n),
                        status="rejected" if split == "rejected" else "kept",
                        reason="too dark" if split == "rejected" else "",
                        split="none" if split == "rejected" else split,
                        reference=f"stills/{self.director}/film/{n}.jpg",
                    )
                    for n, split in splits
                ]
            },
        )
        kept = [(n, split) for n, split in splits if split != "rejected"]
        written = self.make(
            ("written_captions",),
            {},
            tables={
                WRITTEN_FILE: [_row(WrittenCaption, film="film", stem=f"{n}", text=f"a house {n}") for n, _ in splits]
            },
        )
        captions = self.make(
            ("captions",),
            {"stills": stills, "written_captions": written, "director": spec},
            tables={
                CAPTIONS_FILE: [
                    _row(Caption, still=still_id(n), film="film", split=split, text=f"a house {n}", source="person")
                    for n, split in kept
                ]
            },
        )
        latents = self.make(
            (BASE, "latents"),
            {"stills": stills},
            tables={
                LATENTS_FILE: [
                    _row(LatentRow, still=still_id(n), film="film", split=split, reference=f"cache/latents/f/{n}")
                    for n, split in kept
                ]
            },
        )
        prompts = self.make(
            (BASE, "prompt_embeddings"),
            {"captions": captions, "director": spec},
            tables={
                PROMPTS_FILE: [_row(PromptRow, split="none")]
                + [
                    _row(
                        PromptRow,
                        still=still_id(n),
                        split=split,
                        prompt=f"nolan style, a house {n}",
                        reference=f"cache/prompts/f/{n}",
                    )
                    for n, split in kept
                ]
            },
        )
        pick = self.make((RECIPE, "pick"), {}, json_files={"pick.json": None})
        return {"director": spec, "stills": stills, "captions": captions, f"{BASE}/latents": latents,
                f"{BASE}/prompt_embeddings": prompts, f"{RECIPE}/pick": pick}  # fmt: skip

    def publish(
        self,
        step: int,
        *,
        outcome: str = "pass",
        status: str = "published",
        weights: Path | None = None,
        began_with: Published | None = None,
        sign_off: SignOff | None = None,
    ) -> Published:
        """The adapter of one step, judged and published or withheld: what readers see from now on.

        One that `began_with` another is of the recipe `MORE`.
        """
        recipe = RECIPE if began_with is None else MORE
        inputs = {name: each for name, each in self.dataset.items() if "/" in name or name == "director"}
        init = {} if began_with is None else {f"{RECIPE}/adapter": began_with.adapter}
        adapter = self.make(
            (recipe, "adapter"),
            {**inputs, **init},
            json_files={RESULT_FILE: {"training": "0123456789abcdef", "chosen_step": step, "strength": 1.0}},
            files={WEIGHTS: weights.read_bytes() if weights is not None else tiny_weights(step, recipe=recipe)},
        )
        version = next(file.sha256 for file in adapter.manifest.files if file.name == WEIGHTS)
        draft = self._judged(adapter, version, "", "undecided", step)
        evaluation = self._judged(adapter, version, "release_", outcome, step, draft)
        reasons = [f"{outcome}: style"]
        provenance = {
            "adapter": {"sha256": version, "header": header(step, recipe=recipe)},
            "base": {"model": "director-diffusion/mini", "revision": "0123", "content": "org/base@0123"},
            "inputs": {name: each.version for name, each in self.dataset.items()},
            "packages": {"torch": "2.15.0"},
            "data": {
                "hashes": [
                    {"sha256": raw_sha256(n), "still": still_id(n), "split": split, "caption": hash_bytes(b"a house")}
                    for n, split in enumerate(self.splits, self.first)
                    if split != "rejected"
                ]
            },
            "stages": [
                {
                    "asset": f"{recipe}/adapter",
                    "key": "k",
                    "version": adapter.version,
                    "code_version": "3",
                    "seconds": 1.0,
                }
            ],
            "sign_off": None if sign_off is None else asdict(sign_off),
        }
        card = self.make(
            (recipe, "model_card"),
            {f"{recipe}/adapter": adapter, f"{recipe}/release_evaluation": evaluation, **self.dataset},
            json_files={
                "repo/provenance.json": provenance,
                "repo/evaluation.json": {"verdict": {"outcome": outcome, "reasons": reasons}, "effects": []},
            },
            files={f"repo/{WEIGHTS}": adapter.read(WEIGHTS), "repo/images/sample-00.png": sample(step)},
        )
        commit = hash_data({"card": card.version})[:40]
        told = {
            "status": status,
            "reason": "" if status == "published" else f"The verdict is {outcome}.",
            "repo_id": f"studio/{self.director}-{recipe}",
            "commit": commit if status == "published" else "",
            "folder": "",
        }
        publication = self.make(
            (recipe, "published_model"),
            {
                f"{recipe}/model_card": card,
                f"{recipe}/release_evaluation": evaluation,
                "director": self.dataset["director"],
            },
            json_files={"publication.json": told},
        )
        return Published(version, adapter, draft, evaluation, card, publication, commit)

    def fold_adapters(self, *, steps: tuple[int, int] = (3, 6)) -> dict[str, Artifact]:
        """Both folds' adapters and the one of all stills, by name: still-0 is held out of the second."""
        inputs = {name: each for name, each in self.dataset.items() if "/" in name or name in ("director", "stills")}
        kept = [(still_id(n), split) for n, split in enumerate(self.splits, self.first) if split != "rejected"]
        learned = {
            "first_fold_adapter": {one: split for one, split in kept if split != "held_out"},
            "second_fold_adapter": {one: "train" for one, _ in kept if one != still_id(self.first)},
            "adapter": {one: "train" for one, _ in kept},
        }
        found: dict[str, Artifact] = {}
        for number, (name, step) in enumerate(zip(learned, (*steps, sum(steps) // 2), strict=True)):
            more = {f"{RECIPE}/{fold}": each for fold, each in found.items()} if name == "adapter" else {}
            found[name] = self.make(
                (RECIPE, name),
                {**inputs, **more},
                json_files={
                    LEARNED_FILE: {"adapter": learned[name]},
                    RESULT_FILE: {"training": f"{number}" * 16, "chosen_step": step, "strength": 1.0},
                },
                files={WEIGHTS: tiny_weights(10 * step + number)},
            )
        return found

    def _judged(
        self, adapter: Artifact, version: str, tier: str, outcome: str, step: int, draft: Artifact | None = None
    ) -> Artifact:
        """An evaluation of one tier, with a gathered reference set; nothing was published before."""
        recipe = adapter.manifest.asset[0]
        drawn = {} if draft is None else {f"{recipe}/evaluation": draft}
        samples = self.make(
            (recipe, f"{tier}samples"),
            {f"{recipe}/adapter": adapter, **drawn},
            json_files={"of.json": [tier, version]},
        )
        place = (recipe, "published_before")  # the same content is found again, with the inputs of who made it first
        before = next(iter(Ancestry(self.store).of(place, self.director)), None) or self.make(
            place, {f"{recipe}/adapter": adapter}, json_files={"published_before.json": None}
        )
        return self.make(
            (recipe, f"{tier}evaluation"),
            {
                f"{recipe}/{tier}samples": samples,
                f"{recipe}/published_before": before,
                "stills": self.dataset["stills"],
                **self.references(),
            },
            json_files={
                "verdict.json": {"outcome": outcome, "reasons": [f"{outcome}: style"]},
                "effects.json": {"effects": [{"metric": "style", "mean": float(step)}]},
            },
        )

    def references(self) -> dict[str, Artifact]:
        """All directors' reference sets, as a stage gathers them."""
        mine = self.make(("reference_set",), {"stills": self.dataset["stills"]}, json_files={"of.json": self.director})
        others = (name for name in self.store.names("assets/reference_set") if name != self.director)
        found = {name: latest_artifact(self.store, ("reference_set",), name) for name in others}
        return {f"reference_set/{name}": one for name, one in {**found, self.director: mine}.items()}

    def make(
        self,
        asset: tuple[str, ...],
        inputs: Mapping[str, Artifact],
        *,
        tables: Mapping[str, Sequence[Any]] | None = None,
        json_files: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Artifact:
        """Write an artifact of these files and make it the latest."""
        with TemporaryDirectory() as folder:
            out = Path(folder)
            for name, rows in (tables or {}).items():
                write_table(out / name, type(rows[0]), rows)
            contents = {name: json.dumps(data).encode() for name, data in (json_files or {}).items()} | dict(
                files or {}
            )
            for name, content in contents.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(content)
            described = describe_files(out)
            versions = {name: artifact.version for name, artifact in inputs.items()}
            version = content_version(described, ())
            key = short(hash_data({"inputs": versions, "content": version}))
            if (found := find_artifact(self.store, asset, self.director, key)) is not None:
                set_latest(found)
                return found
            self.made += timedelta(seconds=1)
            manifest = Manifest(
                asset=asset,
                partition=self.director,
                key=key,
                plain_key=key,
                version=version,
                files=described,
                inputs=versions,
                code_version="0" * 16,
                seconds=0.0,
                made=self.made.isoformat(timespec="microseconds"),
            )
            artifact = write_artifact(self.store, out, manifest)
        set_latest(artifact)
        return artifact


def tiny_weights(step: int, recipe: str = RECIPE) -> bytes:
    """A safetensors file with a training's header; its one tensor says the step."""
    with TemporaryDirectory() as folder:
        plain, path = Path(folder) / "plain", Path(folder) / WEIGHTS
        save_file({"transformer.x.lora_A.weight": np.full((2, 2), step, np.float32)}, plain)
        with_metadata(plain, path, header(step, recipe=recipe))  # safetensors itself would order it anew each time
        return path.read_bytes()


def _row(row_type: type, **values: Any) -> Any:
    """A row with nothing in the columns that are not given."""
    empty = {"str": "", "int": 0, "float": 0.0, "bool": False}
    blank = {
        field.name: empty.get(str(field.type).removeprefix("<class '").removesuffix("'>"), ())
        for field in fields(row_type)
    }
    literal = {
        name: "" for name, value in blank.items() if value == () and name in ("split", "status", "role", "source")
    }
    return row_type(**{**blank, **literal, **values})


def refer(artifact: Artifact, *references: str) -> None:
    """Have an artifact's manifest name these."""
    manifest = artifact.manifest.model_copy(update={"references": references})
    artifact.store.write(f"{artifact.folder}/artifact.json", manifest.model_dump_json().encode())
