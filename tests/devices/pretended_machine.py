"""A machine of pretended devices, as a deployment's `machine` resource."""

from pathlib import Path

from director_diffusion.devices import DeviceLeases, Devices, Pace
from resources.machine import MachineResource
from tests.devices.pretended import Pretended


class PretendedMachine(MachineResource):
    """Its devices are those of a file; whoever waits says so at once."""

    devices_file: str

    def devices(self) -> Devices:
        return Pretended(Path(self.devices_file))

    def device_leases(self) -> DeviceLeases:
        return DeviceLeases(Path(self.leases), self.devices(), Pace(poll=0.01, grace=0.0))
