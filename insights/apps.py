"""App configuration."""

from django.apps import AppConfig


class InsightsConfig(AppConfig):
    """Reads across the apps."""

    name = "insights"

    def ready(self) -> None:
        """Say how jobs are called."""
        # Models can be imported only once the registry is ready.
        from governance.names import register_names  # noqa: PLC0415
        from insights.selectors.jobs import job_names  # noqa: PLC0415

        register_names("job", job_names)
