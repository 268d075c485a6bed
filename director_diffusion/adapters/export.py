"""Export: an adapter's file for another tool.

Belongs here: one function, and what it reports.  Names are `layouts`', the arithmetic `merging`'s and `reduction`'s.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig
from torch import Tensor, nn

from director_diffusion.adapters.files import SPEC, AdapterFile, check_fit, peft_header, read_adapter
from director_diffusion.adapters.layouts import in_layout, linear_name
from director_diffusion.adapters.merging import base_weights, delta
from director_diffusion.adapters.reduction import reduce_to_lora
from director_diffusion.adapters.writing import Lazy, write_adapter_file
from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_file
from director_diffusion.specs import FLOWS

Export = Literal["diffusers", "kohya", "comfyui", "delta", "lora"]


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    layout: Export
    linears: int
    rank: int | None = None  # the largest, of a LoKr reduced to a LoRA
    error: float = 0.0  # ‖ΔW - written‖ / ‖ΔW‖, Frobenius, over all linears together; 0 for layouts, which are exact
    errors: Mapping[str, float] = field(default_factory=dict)  # the same for each linear


def export_adapter(
    source: Path,
    out: Path,
    layout: Export,
    family: str,
    *,
    rank: int | None = None,
    base: nn.Module | None = None,
) -> ExportReport:
    """Write the adapter `source` to `out`.

    - diffusers: a LoRA as it is.
    - kohya: sd-scripts' names.  diffusers reads them too, but not DoRA's (it leaves `dora_scale` out).
    - comfyui: the names that ComfyUI knows diffusers' linears by.
    - delta: ΔW of each linear in float32, as ComfyUI's `diff`: as large as the base's adapted linears.
    - lora: a LoKr as the closest LoRA of `rank` (None: exactly, of the rank that it has), in diffusers' layout; the
      error stands in the header.

    Every header says what the source's says and, but for diffusers', the source's SHA-256 as `adapter_sha256`.

    `base` is the denoiser, which DoRA needs for comfyui and delta.  Raises ModelError where the layout cannot hold the
    adapter.
    """
    file = read_adapter(source)
    if layout == "diffusers":
        return _as_it_is(file, source, out)
    weights = None
    if base is not None:
        check_fit(source, base, file.role)
        weights = base_weights(base)
    if layout == "lora":
        return _reduced(file, source, out, rank)
    if layout == "delta":
        return _delta(file, source, out, family, weights)
    tensors = in_layout(file, layout, family, weights)
    told = _kohya(tensors, family) if layout == "kohya" else {}
    write_adapter_file(out, tensors, {**_origin(file, source, layout, SPEC), **told})
    return ExportReport(layout, len(file.modules))


def _as_it_is(file: AdapterFile, source: Path, out: Path) -> ExportReport:
    if file.kind == "lokr":
        raise ModelError(
            "a LoKr",
            "cannot be loaded by diffusers",
            "Give --layout lora for the LoRA nearest to it; comfyui and kohya carry its factors, delta the whole ΔW.",
        )
    shutil.copyfile(source, out)
    return ExportReport("diffusers", len(file.modules))


def _delta(
    file: AdapterFile, source: Path, out: Path, family: str, weights: Mapping[str, Tensor] | None
) -> ExportReport:
    tensors = {}
    for module in file.modules:
        own = weights[module] if weights is not None else None
        tensors[f"{linear_name(module, family)}.diff"] = Lazy(
            file.linear_shape(module), torch.float32, partial(delta, file, module, own)
        )
    write_adapter_file(out, tensors, _origin(file, source, "delta", "merged_from"))
    return ExportReport("delta", len(file.modules))


def _reduced(file: AdapterFile, source: Path, out: Path, rank: int | None) -> ExportReport:
    if file.kind != "lokr":
        raise ModelError("a LoRA", "is not reduced to a LoRA", "Give a LoKr's file, or another layout.")
    tensors, ranks, errors = {}, {}, {}
    lost = whole = 0.0
    for module in file.modules:
        reduced = reduce_to_lora(file.weights[f"{module}.lokr_w1"], file.weights[f"{module}.lokr_w2"], rank)
        tensors[f"{file.role}.{module}.lora_A.weight"] = reduced.down
        tensors[f"{file.role}.{module}.lora_B.weight"] = reduced.up
        ranks[module], errors[module] = reduced.down.shape[0], reduced.relative_error
        lost, whole = lost + reduced.lost, whole + reduced.whole
    largest, error = max(ranks.values()), (lost / whole) ** 0.5 if whole else 0.0
    # "^" holds peft to the whole name: "proj_out" would match every block's.
    lower = {f"^{module}": own for module, own in ranks.items() if own != largest}
    config = LoraConfig(
        r=largest, lora_alpha=largest, rank_pattern=lower, alpha_pattern=dict(lower), target_modules=file.modules
    )
    header = {
        **_origin(file, source, "lora", "reduced_from"),
        LORA_ADAPTER_METADATA_KEY: peft_header(config, file.role),
        "reduction": json.dumps({"rank": largest, "relative_error": error, "relative_errors": errors}),
    }
    write_adapter_file(out, tensors, header)
    return ExportReport("lora", len(file.modules), largest, error, errors)


def _origin(file: AdapterFile, source: Path, layout: Export, spec_as: str) -> dict[str, str]:
    """The source's header, with its spec under `spec_as`; without what diffusers would take the export for.

    The source's hash leads from the export back to what was trained, whatever became of names and factors.
    """
    kept = {key: value for key, value in file.metadata.items() if key not in (SPEC, LORA_ADAPTER_METADATA_KEY)}
    spec = {spec_as: file.metadata[SPEC]} if SPEC in file.metadata else {}
    return {**kept, **spec, "layout": layout, "adapter_sha256": hash_file(source)}


def _kohya(tensors: Mapping[str, Tensor], family: str) -> dict[str, str]:
    """What tools of sd-scripts' world look for in a header."""
    ranks = [tensor.shape[0] for name, tensor in tensors.items() if name.endswith(".lora_down.weight")]
    if not ranks:
        return {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": "lokr"})}
    alphas = [float(tensor) for name, tensor in tensors.items() if name.endswith(".alpha")]
    return {
        "ss_network_module": "networks.lora_flux" if family in FLOWS else "networks.lora",
        "ss_network_dim": str(max(ranks)),
        "ss_network_alpha": str(max(alphas)),
    }
