"""Devices as torch knows them in this process, which counts in its own order and sees what it is allowed to.

torch is imported at the first question.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from director_diffusion.devices.device import Device
from director_diffusion.errors import DeviceError


def places_in_torch() -> dict[str, int]:
    """torch's number of each device that it sees, by UUID as the driver writes it."""
    import torch

    return {f"GPU-{torch.cuda.get_device_properties(place).uuid}": place for place in range(torch.cuda.device_count())}


def kept_in_torch(place: int) -> int:
    """Bytes of a device that this process keeps and would use again."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return int(torch.cuda.memory_reserved(place))


@contextmanager
def used_in_torch(devices: Sequence[Device]) -> Iterator[tuple[str, ...]]:
    """Their names for torch.  Memory that is kept for later goes back at the end: others look at what is free."""
    import torch

    places = places_in_torch()
    for device in devices:
        if device.uuid not in places:
            raise DeviceError(
                f"{device.title} ({device.uuid})",
                "is not seen by torch",
                "Look at CUDA_VISIBLE_DEVICES and at nvidia-smi.",
            )
    try:
        yield tuple(f"cuda:{places[device.uuid]}" for device in devices)
    finally:
        gc.collect()
        torch.cuda.empty_cache()
