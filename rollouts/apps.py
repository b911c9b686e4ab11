"""App configuration."""

from django.apps import AppConfig


class RolloutsConfig(AppConfig):
    """Gets the right version onto the right device, and takes it back."""

    name = "rollouts"

    def ready(self) -> None:
        """Say how rollouts are called, and who may follow one live."""
        # Models can be imported only once the registry is ready.
        from governance.names import register_names  # noqa: PLC0415
        from rollouts import selectors  # noqa: PLC0415
        from telemetry.topics import register_topic  # noqa: PLC0415

        register_names("rollout", selectors.rollout_names)
        register_topic("rollout", selectors.rollout_topic)
