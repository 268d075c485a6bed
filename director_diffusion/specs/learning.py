"""Learning: what learns, and how it is optimized.

Belongs here: kinds of adapters, optimizers and schedules, for whatever is trained into an adapter.
"""

from typing import Annotated, Literal

from pydantic import Field

from director_diffusion.spec_base import PositiveInt, Spec

# --- adapters ----------------------------------------------------------------------------------------------------

Targets = Literal["attention", "all_block_linears", "late_single_blocks"]
"""Presets of linears that carry an adapter.  Each family says which are its (`families`)."""


class LoraAdapter(Spec):
    """Low-rank adapter (Hu et al. 2021): W + alpha / rank · B A."""

    kind: Literal["lora"]
    rank: Annotated[int, Field(ge=1, le=512)]
    alpha: Annotated[float, Field(gt=0, le=1024)]
    rank_stabilised: bool = Field(False, description="alpha / √rank in place of alpha / rank (Kalajdzievski 2023).")
    dora: bool = Field(False, description="Learn magnitude and direction apart (DoRA, Liu et al. 2024).")
    targets: Targets = "all_block_linears"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class LokrAdapter(Spec):
    """Kronecker adapter (LoKr, Yeh et al. 2023): W + A ⊗ B."""

    kind: Literal["lokr"]
    factor: tuple[PositiveInt, PositiveInt] = Field(
        description="Rows and columns of A; B fits the linear. Where a linear's side is no multiple, its largest "
        "divisor below is taken."
    )
    targets: Targets = "all_block_linears"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


Adapter = Annotated[LoraAdapter | LokrAdapter, Field(discriminator="kind")]

# --- optimization ------------------------------------------------------------------------------------------------


class _Adam(Spec):
    """What all of Adam's kin take."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0


class AdamW(_Adam):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: Annotated[float, Field(gt=0, le=1)]


class AdamW8bit(_Adam):
    """AdamW with moments in 8 bits, in blocks (Dettmers et al. 2022): a quarter of their memory."""

    kind: Literal["adamw_8bit"]
    lr: Annotated[float, Field(gt=0, le=1)]


class Prodigy(_Adam):
    """Prodigy (Mishchenko and Defazio 2024), which finds its own step size: `lr` multiplies it."""

    kind: Literal["prodigy"]
    lr: Annotated[float, Field(gt=0, le=10)] = 1.0
    growth: Annotated[float, Field(ge=1)] | None = Field(
        None, description="Most that the step size may grow by in one step; None sets no limit."
    )
    first_size: Annotated[float, Field(gt=0, le=1)] = Field(1e-6, description="Step size that it starts from (d0).")


Optimizer = Annotated[AdamW | AdamW8bit | Prodigy, Field(discriminator="kind")]


class Schedule(Spec):
    """Learning rate per optimizer step."""

    kind: Literal["constant", "cosine"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
