"""Adapter files: what a training leaves behind, in diffusers' names.

Belongs here: writing one, reading it, loading it into a denoiser and taking it out again, and whether it fits.  The
layouts of other tools are `layouts`'.

A LoRA's is what `load_lora_weights` reads, with peft's configuration in the header.  A LoKr's holds, for each linear,
`<role>.<module>.lokr_w1` (A), `.lokr_w2` (B) and `.alpha`, with ΔW = A ⊗ B and no other scale: so LyCORIS and ComfyUI
read factors that are stored in full, whatever alpha says.  Both tell the spec in the header.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import ModelMixin
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from director_diffusion.adapters.injection import linears, lora_config, replace_module
from director_diffusion.adapters.lokr import KroneckerLinear
from director_diffusion.adapters.writing import write_adapter_file
from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_bytes, hash_data
from director_diffusion.specs import Adapter, LoraAdapter

Kind = Literal["lora", "lokr"]
SPEC = "adapter"  # the header's key of the spec
LOKR_ALPHA = 1.0  # LyCORIS divides it by a rank that it takes to be 1


def save_adapter(
    path: Path,
    weights: Mapping[str, Tensor],
    spec: Adapter,
    targets: Sequence[str],
    *,
    role: str,
    metadata: Mapping[str, str],
) -> None:
    """Write an adapter as `injection.adapter_weights` gives it.

    `role` is the denoiser's in diffusers' pipeline, "transformer" or "unet".  `metadata` stands in the header under its
    own keys.  The bytes depend on the arguments alone.
    """
    header = {**metadata, SPEC: spec.model_dump_json()}
    tensors = {f"{role}.{name}": tensor for name, tensor in weights.items()}
    if isinstance(spec, LoraAdapter):
        served = spec.model_copy(update={"dropout": 0.0})
        header[LORA_ADAPTER_METADATA_KEY] = peft_header(lora_config(served, targets), role)
    else:
        tensors |= {f"{role}.{name}.alpha": torch.tensor(LOKR_ALPHA) for name in targets}
    write_adapter_file(path, tensors, header)


def peft_header(config: LoraConfig, role: str) -> str:
    """A peft configuration as diffusers reads it: rank, alpha, targets and what else is not peft's default.

    Defaults are left out so that versions of peft which lack a newer option still read the file.
    """
    defaults = LoraConfig()
    kept = {
        f"{role}.{field.name}": getattr(config, field.name)
        for field in fields(config)
        if field.name in ("r", "lora_alpha", "target_modules")
        or getattr(config, field.name) != getattr(defaults, field.name)
    }
    return json.dumps(kept, sort_keys=True, default=sorted)


@dataclass(frozen=True)
class AdapterFile:
    """An adapter file in memory."""

    role: str
    weights: dict[str, Tensor]  # by name without the role
    alphas: dict[str, float]  # by module, where they stand among the weights
    metadata: dict[str, str]

    @property
    def kind(self) -> Kind:
        """What ΔW is made of."""
        return _kind(self.weights)

    @cached_property
    def modules(self) -> list[str]:
        """Names of the linears that it adapts, sorted."""
        return sorted({_split(name)[0] for name in self.weights})

    @cached_property
    def config(self) -> dict[str, Any]:
        """peft's configuration of a LoRA, as far as the header tells it."""
        told = json.loads(self.metadata.get(LORA_ADAPTER_METADATA_KEY, "{}"))
        return {name.removeprefix(f"{self.role}."): value for name, value in told.items()}

    @cached_property
    def content(self) -> str:
        """Says what it does to a base: its header's words on who chose it, and how it was trained, are not in it."""
        tensors = {
            name: [str(one.dtype), list(one.shape), hash_bytes(one.contiguous().view(torch.uint8).numpy().tobytes())]
            for name, one in self.weights.items()
        }
        return hash_data({"role": self.role, "weights": tensors, "alphas": self.alphas, "config": self.config})

    def linear_shape(self, module: str) -> tuple[int, int]:
        """(out, in) of a linear that it adapts."""
        if self.kind == "lokr":
            a, b = self.weights[f"{module}.lokr_w1"], self.weights[f"{module}.lokr_w2"]
            return a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]
        return self.weights[f"{module}.lora_B.weight"].shape[0], self.weights[f"{module}.lora_A.weight"].shape[1]

    def scale(self, module: str) -> float:
        """What a LoRA's B A is multiplied by in one linear.  Where no alpha is told it is the rank, as in diffusers."""
        rank = self.weights[f"{module}.lora_B.weight"].shape[1]
        if not self.config:
            return self.alphas.get(module, rank) / rank
        alphas = self.config.get("alpha_pattern", {})
        alpha = alphas.get(get_pattern_key(alphas.keys(), module), self.config["lora_alpha"])
        return float(alpha / rank**0.5 if self.config.get("use_rslora") else alpha / rank)


def read_adapter(path: Path) -> AdapterFile:
    """Read a file as `save_adapter` writes it.  Raises ModelError where it is none."""
    with _opened(path) as file:
        named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — no mapping
        metadata = dict(file.metadata() or {})
    role = _role(path, named)
    own = {name.removeprefix(f"{role}."): tensor for name, tensor in named.items()}
    alphas = {_split(name)[0]: float(tensor) for name, tensor in own.items() if _is_alpha(name)}
    return AdapterFile(role, {name: own[name] for name in own if not _is_alpha(name)}, alphas, metadata)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A file's weights, named as `injection.adapter_weights` names them."""
    return read_adapter(path).weights


def scaled_weights(weights: Mapping[str, Tensor], strength: float) -> dict[str, Tensor]:
    """The same adapter with ΔW times `strength`: in its weights, so that it loads at that strength everywhere.

    Of DoRA the low-rank part is scaled and the magnitudes stay, as diffusers' `set_adapters` scales it.
    """
    return {
        name: tensor * strength if name.endswith((".lora_B.weight", ".lokr_w2")) else tensor
        for name, tensor in weights.items()
    }


def kind_of(path: Path) -> Kind:
    """The kind of the adapter in a file.  Raises ModelError where it is none."""
    with _opened(path) as file:
        names = list(file.keys())
    _role(path, names)
    return _kind(names)


def load_adapter(denoiser: ModelMixin, path: Path, *, name: str | None = None, strength: float = 1.0) -> None:
    """Load a file: LoRA with diffusers' own loader of single models, LoKr as it loads LoRA, in the denoiser's dtype.

    LoKr goes below LoRA, whose layers keep their names so.  A LoRA that takes its place beside others has a `name`, and
    its strength is set with theirs; `strength` is a LoKr's.
    """
    if kind_of(path) == "lora":
        with _opened(path) as file:
            role = _role(path, file.keys())
        denoiser.load_lora_adapter(
            path.parent, weight_name=path.name, prefix=role, adapter_name=name, local_files_only=True
        )
        return
    file = read_adapter(path)
    check_fit(path, denoiser, file.role)
    adapted, weights = dict(linears(denoiser)), scaled_weights(file.weights, strength)
    for module in file.modules:
        a, b = weights[f"{module}.lokr_w1"], weights[f"{module}.lokr_w2"]
        above = adapted[module]
        base = above.base_layer if isinstance(above, LoraLayer) else above
        dtype = base.weight.dtype if base.weight.is_floating_point() else a.dtype  # 4 bits are no floating point
        layer = KroneckerLinear(base, ((a.shape[0], a.shape[1]), (b.shape[0], b.shape[1])), dtype=dtype)
        with torch.no_grad():
            layer.lokr_w1.copy_(a)
            layer.lokr_w2.copy_(b)
        layer.requires_grad_(False).train(base.training)
        if isinstance(above, LoraLayer):
            above.base_layer = layer
        else:
            replace_module(denoiser, module, layer)


def remove_adapter(denoiser: ModelMixin) -> None:
    """Take any adapter out wholly: the modules are those from before."""
    for name, module in reversed(list(denoiser.named_modules())):  # of several on one linear, the lowest first
        if isinstance(module, KroneckerLinear):
            replace_module(denoiser, name, module.base_layer)
    if getattr(denoiser, "peft_config", None):
        denoiser.unload_lora()  # which would take LoKr for LoRA


def check_fit(path: Path, denoiser: nn.Module, role: str) -> None:
    """Raise ModelError unless every weight in the file belongs to a linear layer of its shape.

    diffusers itself only logs layers that found no place, and takes weights of other shapes until they are first used.
    """
    with _opened(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 — no mapping
    places = {f"{role}.{name}": module for name, module in linears(denoiser)}
    misfits = [name for name in shapes if not _fits(name, shapes, places)]
    if misfits or not shapes:
        raise ModelError(
            str(path),
            f"does not fit this base: {len(misfits)} of its {len(shapes)} weights have no place, as {misfits[:1]}",
            "Use an adapter that was trained on this very base.",
        )


def _fits(name: str, shapes: Mapping[str, tuple[int, ...]], places: Mapping[str, nn.Linear]) -> bool:
    module, kind = _split(name)
    if module not in places:
        return False
    out_features, in_features = places[module].out_features, places[module].in_features
    shape = shapes[name]
    match kind:
        case "lora_A.weight":
            return shape[1:] == (in_features,)
        case "lora_B.weight":
            return len(shape) == 2 and shape[0] == out_features
        case "lora_magnitude_vector":
            return shape == (out_features,)
        case "lokr_w1" | "lokr_w2":
            a, b = shapes.get(f"{module}.lokr_w1", ()), shapes.get(f"{module}.lokr_w2", ())
            return len(a) == len(b) == 2 and (a[0] * b[0], a[1] * b[1]) == (out_features, in_features)
        case _:
            return _is_alpha(name)


def _split(name: str) -> tuple[str, str]:
    """(module, kind of weight)."""
    for kind in ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "lokr_w1", "lokr_w2", "alpha"):
        if name.endswith(f".{kind}"):
            return name.removesuffix(f".{kind}"), kind
    return name, ""


def _is_alpha(name: str) -> bool:
    return _split(name)[1] == "alpha"


def _kind(names: Iterable[str]) -> Kind:
    return "lokr" if any(_split(name)[1].startswith("lokr_") for name in names) else "lora"


def _role(path: Path, names: Iterable[str]) -> str:
    """What the names of all weights begin with."""
    roles = {name.split(".", 1)[0] for name in names}
    strays = [name for name in names if not _split(name)[1]]
    if len(roles) != 1 or strays:
        raise ModelError(
            str(path),
            f"is no adapter as this project writes them: it has weights as {(strays or sorted(roles))[:1]}",
            "Give the file that a training left behind, not an export of it.",
        )
    return roles.pop()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """safetensors' own opened file, its errors told as ModelError."""
    try:
        file = safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ModelError(str(path), f"cannot be read as an adapter: {error}", "Train the adapter again.") from error
    with file:
        yield file
