"""App configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class FleetConfig(AppConfig):
    """Knows every device."""

    name = "fleet"

    def ready(self) -> None:
        """Say how our kinds are called, and have the event ledger's months after each migration."""
        # Models can be imported only once the registry is ready.
        from fleet import models, selectors  # noqa: PLC0415
        from fleet.services.partitions import device_event_partitions_ensure  # noqa: PLC0415
        from governance.names import register_names  # noqa: PLC0415

        register_names("device", selectors.device_names)
        register_names("enrolment_token", selectors.enrolment_token_names)
        register_names("site", selectors.place_names(models.Site))
        register_names("region", selectors.place_names(models.Region))
        register_names("hardware_profile", selectors.place_names(models.HardwareProfile))

        def months_after_migrate(**_: object) -> None:
            device_event_partitions_ensure()

        post_migrate.connect(
            months_after_migrate, sender=self, weak=False, dispatch_uid="fleet.device_event_partitions"
        )
