"""App configuration."""

from django.apps import AppConfig


class ModelsRegistryConfig(AppConfig):
    """Holds every model."""

    name = "models_registry"

    def ready(self) -> None:
        """Register jobs and names, and hand enrolment its root of trust."""
        # Models can be imported only once the registry of apps is ready.
        from fleet.services.enrolment import register_root_provider  # noqa: PLC0415
        from governance.names import register_names  # noqa: PLC0415
        from models_registry import checks, jobs, selectors  # noqa: F401, PLC0415
        from models_registry.services.trust import trust_root  # noqa: PLC0415

        register_root_provider(trust_root)
        register_names("model", selectors.model_names)
        register_names("version", selectors.version_names)
