"""What telemetry shows to other apps and to its own doors."""

from telemetry.selectors.alerts import alert_for, alert_names, alert_rule_names, alert_rules, alerts, alerts_open_counts
from telemetry.selectors.drift import drift_cell, drift_matrix
from telemetry.selectors.fleet import inference_figures, inference_history
from telemetry.selectors.latest import latest_values
from telemetry.selectors.series import health_samples, health_series, inference_windows, window_series

__all__ = [
    "alert_for",
    "alert_names",
    "alert_rule_names",
    "alert_rules",
    "alerts",
    "alerts_open_counts",
    "drift_cell",
    "drift_matrix",
    "health_samples",
    "health_series",
    "inference_figures",
    "inference_history",
    "inference_windows",
    "latest_values",
    "window_series",
]
