"""The fleet simulator: hundreds of protocol-true devices in one asyncio process.

Each device has its own P-256 key, enrols, gets tokens, polls with ``ETag``, fetches and verifies signed
bytes, gives feedback, signs reports, and sends telemetry with exact sequences. Only inference is shared: each
model file is run once over a data set, and devices draw their windows from those real outputs.

    fleet = Fleet(server=url, tenant="demo", data=DataSet.load(path), folder=folder)
    device = fleet.add("camera-1", profile="arm64-camera", token=token)
    await device.step()               # one tick: enrol if needed, poll and act, one window, one report if due
    device.faults.is_offline = True   # and so on, at any time
    await fleet.run(stop)             # or let all of them live at their own pace

``docs/developers/simulator.md`` is the manual.
"""

from flotilla_agent.simulator.device import SimulatedDevice
from flotilla_agent.simulator.faults import Faults
from flotilla_agent.simulator.fleet import Fleet, FleetOptions
from flotilla_agent.simulator.outputs import DataSet

__all__ = ["DataSet", "Faults", "Fleet", "FleetOptions", "SimulatedDevice"]
