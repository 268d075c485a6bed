"""Projects and deployments: what is made, and where it runs."""

import re
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, model_validator

from director_diffusion.spec_base import PositiveInt, Seed, Share, Slug, Spec, Text
from director_diffusion.specs.bases import ModelSource
from director_diffusion.specs.executors import ExecutorName, KubernetesCluster, RayCluster


class Captioner(Spec):
    """The vision-language model that captions, and how it is asked."""

    source: ModelSource
    max_pixels: Annotated[int, Field(ge=28 * 28)] = Field(
        602_112, description="Pixels of a still as the model sees it."
    )
    max_new_tokens: Annotated[int, Field(ge=4, le=1024)] = 160
    max_words: Annotated[int, Field(ge=5, le=300)] = Field(60, description="Longer captions fail the quality rules.")
    min_words: Annotated[int, Field(ge=1, le=50)] = 3
    dtype: Literal["float32", "bfloat16"] = "bfloat16"


class PlaceholderStills(Spec):
    """Drawn stills that fill an empty store, so that the graph has something to run on.  They are not film stills."""

    per_director: Annotated[int, Field(ge=1, le=1000)] = 36
    captioned_share: Share = Field(0.5, description="Share of stills that get a caption file beside them.")
    seed: Seed = 0


class Project(Spec):
    """What is made."""

    slug: Slug
    recipes: tuple[Slug, ...] = Field(min_length=1)
    bases: tuple[Slug, ...] = Field((), description="Bases to be trained here, beside those of the recipes.")
    captioner: Captioner
    evaluation: Slug
    directors: Literal["all"] | tuple[Slug, ...] = "all"
    placeholder_stills: PlaceholderStills | None = None
    hub_namespace: Annotated[str, Field(pattern=r"^[\w.-]+$")] = Field(
        "director-diffusion", description="User or organisation that published repositories belong to."
    )

    @model_validator(mode="after")
    def _each_once(self) -> "Project":
        for key in ("recipes", "bases", "directors"):
            named = getattr(self, key)
            if len(set(named)) < len(named) and named != "all":
                raise ValueError(f"{key}: one is named twice in {', '.join(named)}")
        return self


class FolderHub(Spec):
    """Publish into a folder, laid out as repositories."""

    kind: Literal["folder"]
    folder: Text | None = Field(None, description="Folder or fsspec URL; None: `hub/` in the store.")


class EndpointHub(Spec):
    """Publish to the Hugging Face Hub, or to another server that speaks its protocol; HF_TOKEN says as whom."""

    kind: Literal["hub"]
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")] = "https://huggingface.co"
    private: bool = Field(
        True, description="How repositories are made that are not there yet; those that are stay as they are."
    )


Hub = Annotated[FolderHub | EndpointHub, Field(discriminator="kind")]


class StoreCache(Spec):
    """What was read of a bucket, kept on a disk of this machine."""

    folder: Text | None = Field(
        None, description="None: `store` in the user's cache; DIRECTOR_STORE_CACHE overrides it."
    )
    gigabytes: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = Field(
        20, description="At most; 0: none is kept.  DIRECTOR_STORE_CACHE_GB overrides it."
    )

    @property
    def limit(self) -> int:
        """Bytes."""
        return int(self.gigabytes * 1e9)


class Deployment(Spec):
    """Where it runs, never what comes out."""

    slug: Slug
    store: Text = Field(
        description="Folder, or s3://<bucket>/<prefix> with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on in the "
        "environment; DIRECTOR_STORE overrides it."
    )
    store_cache: StoreCache = StoreCache()
    executor: ExecutorName = Field(
        "in_process", description="Of runs that Dagster launches; `director run` launches none."
    )
    ray: RayCluster | None = Field(None, description="Of `executor: ray`; None: this machine's, as it comes.")
    kubernetes: KubernetesCluster | None = Field(None, description="Of `executor: kubernetes`.")
    directors_at_once: PositiveInt = Field(
        1,
        description="Directors that `director run` runs side by side, at most one a GPU; above 1, each in a process.",
    )
    device: Literal["cpu", "cuda"] = "cpu"
    gpus: Annotated[int, Field(ge=0, le=1024)] = Field(
        0,
        description="That steps have at once, of this machine or of the cluster: each is lent a free one of its own.",
    )
    training_processes: PositiveInt = Field(
        1,
        description="Processes that share one training, as many of them as divide its step; on `cuda` each with a GPU "
        "that is lent to the step.  A run's tag director/gpus says otherwise for that run.",
    )
    gpu_memory_gib: Annotated[float, Field(gt=0, le=4096)] | None = Field(
        None, description="Free memory that a GPU must have to be lent; None: three quarters of what it has in all."
    )
    cpu_threads: PositiveInt | None = Field(
        None, description="Threads of a step's arithmetic on the CPU; None leaves it to the libraries."
    )
    captioning_batch: PositiveInt = 8
    hub: Hub
    deliver_to: Text | None = Field(
        None, description="Folder or fsspec URL that ComfyUI reads live adapters from; None: they are only recorded."
    )
    votes: Text | None = Field(
        None,
        description="Ledger of votes: sqlite:///<path> on a local disk, or postgresql://<user>@<host>/<database> "
        "(password: PGPASSWORD or ~/.pgpass); None: votes/votes.sqlite in a local store, else none.",
    )
    evaluated_within_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        8.0,
        description="Days after which a trained director is overdue for an evaluation, as DIRECTOR_WEBHOOK is told.",
    )
    dagster: Slug | None = Field(
        None,
        description="Settings of configs/dagster that a new DAGSTER_HOME begins with, as sqlite or postgres; None: "
        "sqlite, and whatever an older one has.",
    )
    model_cache: Text | None = Field(None, description="Folder of downloaded models; None: the user's cache.")
    pictures: Literal["inline", "links", "none"] = Field(
        "inline",
        description="Pictures in run metadata, where whoever sees Dagster's UI sees them: in it, as links to files of "
        "the store, or none.",
    )

    @property
    def gpus_here(self) -> int:
        """Of this machine; a cluster's are on its nodes."""
        return self.gpus if self.executor in ("in_process", "multiprocess") else 0

    @model_validator(mode="after")  # of the whole, so that an error does not repeat the value
    def _ledger_without_password(self) -> "Deployment":
        if self.votes is None:
            return self
        if not re.match(r"(sqlite|postgresql)(\+\w+)?://", self.votes):
            raise ValueError("key votes must begin with sqlite:/// or postgresql://")
        parts = urlsplit(self.votes)
        if parts.password is not None or "password" in parse_qs(parts.query):
            raise ValueError("key votes has a password, which the UI would show: leave it to PGPASSWORD or ~/.pgpass")
        return self

    @model_validator(mode="after")
    def _cluster_is_its_executors(self) -> "Deployment":
        for name in ("ray", "kubernetes"):
            if getattr(self, name) is not None and self.executor != name:
                raise ValueError(f"key {name} is only read with executor: {name}, and this one is {self.executor}")
        return self

    @model_validator(mode="after")
    def _gpus_match_device(self) -> "Deployment":
        logical = self.executor == "ray" and self.device == "cpu"  # Ray counts what it is told that a node has
        if (self.device == "cuda") != (self.gpus > 0) and not logical:
            raise ValueError(
                f"device {self.device!r} does not go with gpus {self.gpus}: cuda needs 1 or more, cpu needs 0"
            )
        if self.device == "cuda":
            for name in ("directors_at_once", "training_processes"):
                if (wanted := getattr(self, name)) > self.gpus:
                    raise ValueError(f"{name} {wanted} is more than gpus {self.gpus}: each has one of its own")
        return self
