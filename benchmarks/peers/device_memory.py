"""Device memory: the most that processes had of a GPU, seen from outside.

Belongs here: asking `nvidia-smi` now and then.  What it counts is what a process holds, its caches included.
"""

import shutil
import subprocess
import threading
from types import TracebackType
from typing import Self

EVERY_S = 0.5


class DeviceMemory:
    """Watches the first GPU inside a `with` block; sees nothing where there is none."""

    def __init__(self) -> None:
        self.peak_mib = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if shutil.which("nvidia-smi") is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while not self._over.wait(EVERY_S):
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            self.peak_mib = max(self.peak_mib, int(said.split()[0]))
