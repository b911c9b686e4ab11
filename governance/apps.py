"""App configuration."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    """Who may do what, and who did."""

    name = "governance"

    def ready(self) -> None:
        """Say how our kinds are called."""
        # Models can be imported only once the registry is ready.
        from governance import selectors  # noqa: PLC0415
        from governance.api import schema  # noqa: F401, PLC0415
        from governance.names import register_names  # noqa: PLC0415

        register_names("person", selectors.person_names)
        register_names("token", selectors.api_token_names)
        register_names("api_token", selectors.api_token_names)
        register_names("organization", selectors.organization_names)
