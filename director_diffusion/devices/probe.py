"""A probe: a device does a small piece of work, in a process of its own that a hung or broken one may take along.

Belongs here: what that process runs, by its file: `python -I probe.py UUID`.  It asks the driver itself, with the
standard library alone, so that it is over in about the time that a context takes.
"""

import ctypes
import os
import sys

CELLS, PATTERN = 1 << 20, 0x5EED5EED  # 4 MiB
# The driver's numbers for memory that others hold, and for a device that lets in one process at a time: it is no fault.
TAKEN = {2, 46}


class _RefusedError(Exception):
    """The driver said no."""

    def __init__(self, call: str, code: int):
        self.code = code
        super().__init__(f"{call} failed with CUDA error {code}")


def _ask(driver: ctypes.CDLL, call: str, *arguments: object) -> None:
    code = getattr(driver, call)(*arguments)
    if code:
        raise _RefusedError(call, code)


def probe(uuid: str) -> str:
    """What is wrong with the device, or ""."""
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid  # read by the driver once it is loaded
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        device, context, place = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
        cells, size = (ctypes.c_uint32 * CELLS)(), ctypes.c_size_t(4 * CELLS)
        _ask(driver, "cuInit", ctypes.c_uint(0))
        _ask(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        _ask(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        _ask(driver, "cuCtxSetCurrent", context)
        _ask(driver, "cuMemAlloc_v2", ctypes.byref(place), size)
        _ask(driver, "cuMemsetD32_v2", place, ctypes.c_uint(PATTERN), ctypes.c_size_t(CELLS))
        _ask(driver, "cuMemcpyDtoH_v2", cells, place, size)
    except OSError as error:
        return f"the driver cannot be loaded: {error}"
    except _RefusedError as refused:
        return "" if refused.code in TAKEN else str(refused)
    wrong = sum(cell != PATTERN for cell in cells)
    return f"{wrong} of {CELLS} numbers came back otherwise than they were written" if wrong else ""


if __name__ == "__main__":
    print(probe(sys.argv[1]))
