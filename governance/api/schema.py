"""How OpenAPI describes the two ways in; found by drf-spectacular once imported."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """``Authorization: Bearer flt_...``."""

    target_class = "governance.authentication.ApiTokenAuthentication"
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """RFC 6750."""
        del auto_schema
        return {"type": "http", "scheme": "bearer", "description": "An API token, made under Settings."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The dashboard's session. The cookie's name carries the port, which is no part of the contract."""

    target_class = "governance.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A cookie; unsafe methods need the CSRF header, too."""
        del auto_schema
        prefix = settings.SESSION_COOKIE_NAME.rpartition("_")[0]
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": prefix,
            "description": "Set by POST session/ under this name and the port. Unsafe methods need X-CSRFToken.",
        }
