"""App configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TelemetryConfig(AppConfig):
    """Shows whether it still works."""

    name = "telemetry"

    def ready(self) -> None:
        """Offer the fleet its newest values, authorize device topics, and have partitions after each migration."""
        # Models can be imported only once the registry is ready.
        from fleet.selectors import register_latest_provider  # noqa: PLC0415
        from governance.names import register_names  # noqa: PLC0415
        from telemetry import selectors  # noqa: PLC0415
        from telemetry.services.partitions import series_partitions_ensure  # noqa: PLC0415
        from telemetry.topics import device_topic, register_topic  # noqa: PLC0415

        register_latest_provider(selectors.latest_values)
        register_names("alert", selectors.alert_names)
        register_names("alert_rule", selectors.alert_rule_names)
        register_topic("device", device_topic)

        def partitions_after_migrate(**_: object) -> None:
            series_partitions_ensure()

        post_migrate.connect(
            partitions_after_migrate, sender=self, weak=False, dispatch_uid="telemetry.series_partitions"
        )
