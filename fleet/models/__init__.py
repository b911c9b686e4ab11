"""Tables of the fleet."""

from fleet.models.device import Device, DeviceState
from fleet.models.enrolment import DeviceAuthority, EnrolmentToken, UsedAssertion
from fleet.models.ledger import DeviceEvent, Evidence, InstalledModel
from fleet.models.place import HardwareProfile, Region, Site

__all__ = [
    "Device",
    "DeviceAuthority",
    "DeviceEvent",
    "DeviceState",
    "EnrolmentToken",
    "Evidence",
    "HardwareProfile",
    "InstalledModel",
    "Region",
    "Site",
    "UsedAssertion",
]
