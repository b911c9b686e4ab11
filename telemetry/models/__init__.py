"""Tables of telemetry."""

from telemetry.models.alert import Alert, AlertRule, AlertState, RuleKind, Severity
from telemetry.models.drift import DriftCause, DriftScore, DriftVerdict
from telemetry.models.series import DeviceLatest, HealthSample, InferenceWindow

__all__ = [
    "Alert",
    "AlertRule",
    "AlertState",
    "DeviceLatest",
    "DriftCause",
    "DriftScore",
    "DriftVerdict",
    "HealthSample",
    "InferenceWindow",
    "RuleKind",
    "Severity",
]
