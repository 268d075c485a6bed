"""Devices: the accelerators of a machine, and who has which.

Belongs here: what there is (`device`, `nvidia`), whether it works (`probe`), and leases of it (`leases`).  Does not:
what is done on a device, or how many a deployment wants.
"""

from director_diffusion.devices.device import Device, Devices
from director_diffusion.devices.leases import DeviceLeases, Held, Pace

__all__ = ["Device", "DeviceLeases", "Devices", "Held", "Pace"]
