"""Whose certificates a TLS proxy in front of the device doors accepts."""

from __future__ import annotations

from fleet.services.authority import device_authority_ensure
from governance.models import Organization


def device_authority_bundle() -> str:
    """The device authorities' certificates of all organizations, one PEM after the other; empty without organizations.

    Makes the authorities that are missing, so that an organization's first device finds its certificate accepted.
    Idempotent.
    """
    return "".join(
        device_authority_ensure(organization_id=organization_id).certificate_pem
        for organization_id in Organization.objects.order_by("pk").values_list("pk", flat=True)
    )
