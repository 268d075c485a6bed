"""Encoders: models that turn pictures into vectors, which metrics are computed from."""

from pydantic import Field

from director_diffusion.spec_base import Spec, Text
from director_diffusion.specs.bases import ModelSource


class Embedder(Spec):
    """An open_clip model that scores images: its architecture's name and its weights."""

    model: Text = Field(
        description="open_clip's architecture name; for a folder, the folder's open_clip_config.json rules."
    )
    source: ModelSource


class ImageEncoder(Spec):
    """A timm model without words, such as a DINOv2: what pictures look like, whatever they are called."""

    model: Text = Field(
        description="timm's architecture name, such as vit_large_patch14_dinov2.lvd142m; for a folder, the folder's "
        "config.json rules."
    )
    source: ModelSource


class StyleProjection(Spec):
    """CSD (Somepalli et al. 2024): a CLIP vision tower with a projection that was trained to tell styles apart."""

    source: ModelSource
    weights: Text = Field("model.safetensors", description="The file in it; pickles are not read.")


class AestheticHead(Spec):
    """A head that people's ratings were regressed with on CLIP's image vectors: a secondary taste, not a judge."""

    embedder: Embedder = Field(description="The open_clip model whose vectors the head was trained on.")
    source: ModelSource
    file: Text = Field(description="The head in it: LAION's linear ones, or the MLP of improved-aesthetic-predictor.")
