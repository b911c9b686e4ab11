"""Devices: rows for what only needs them, and a device that speaks the protocol for what is about it."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import httpx
from cryptography import x509

from common.clock import now
from fleet.models import Device, DeviceState, HardwareProfile, Region, Site
from fleet.services.enrolment_tokens import enrolment_token_create
from flotilla_protocol.identity import assertion_audience, assertion_make, csr_make, key_generate
from governance.models import Organization
from governance.types import Caller

DEVICE_URL = "http://testserver"
_numbers = itertools.count(1)


def hardware_profile_make(organization: Organization, name: str = "box") -> HardwareProfile:
    """The hardware profile of that name."""
    profile, _ = HardwareProfile.objects.get_or_create(
        organization=organization, name=name, defaults={"architecture": "aarch64", "created_at": now()}
    )
    return profile


def region_make(organization: Organization, name: str = "north") -> Region:
    """The region of that name."""
    region, _ = Region.objects.get_or_create(organization=organization, name=name, defaults={"created_at": now()})
    return region


def site_make(organization: Organization, name: str = "harbour", region: str = "north") -> Site:
    """The site of that name."""
    site, _ = Site.objects.get_or_create(
        organization=organization,
        name=name,
        defaults={"region": region_make(organization, region), "created_at": now()},
    )
    return site


def device_make(
    organization: Organization, *, site: Site | None = None, profile: str = "box", **columns: Any
) -> Device:
    """An accepted device, as a row: it has no key and cannot speak."""
    name = columns.pop("controller_id", f"device-{next(_numbers)}")
    return Device.objects.create(
        **{
            "organization": organization,
            "controller_id": name,
            "name": name,
            "state": DeviceState.ACCEPTED,
            "hardware_profile": hardware_profile_make(organization, profile),
            "site": site,
            "region": site.region if site else None,
            "last_seen_at": now(),
            "created_at": now(),
            **columns,
        }
    )


def enrolment_token_make(caller: Caller, *, lifetime: timedelta = timedelta(hours=1), **columns: Any) -> str:
    """The text of a new enrolment token."""
    return enrolment_token_create(caller=caller, name="test", lifetime=lifetime, **columns).text


class EdgeDevice:
    """A device with a key of its own that speaks the protocol through ``client``.

    Args:
        client: at the device doors.
        controller_id: its id.
        tenant: the organization it wants to join or belongs to.
    """

    def __init__(self, client: httpx.AsyncClient, controller_id: str = "", *, tenant: str = "acme") -> None:
        self.client = client
        self.controller_id = controller_id or f"edge-{next(_numbers)}"
        self.tenant = tenant
        self.key = key_generate()
        self.access_token = ""

    def enrol_request(self, token: str, **changes: Any) -> dict[str, Any]:
        """The body of an enrolment, with changes."""
        return {
            "token": token,
            "controller_id": self.controller_id,
            "name": self.controller_id,
            "csr_pem": csr_make(self.key, self.controller_id),
            "agent_version": "1.0.0",
            "hardware": {"profile": "jetson", "architecture": "aarch64", "cpu_count": 6, "memory_bytes": 8_000_000_000},
            "attributes": {"serial": "42"},
            **changes,
        }

    async def enrol(self, token: str, **changes: Any) -> httpx.Response:
        """Ask to be let in."""
        return await self.client.post(f"/{self.tenant}/agent/v1/enrol", json=self.enrol_request(token, **changes))

    def assertion(self, **changes: Any) -> str:
        """A fresh assertion, with changes of ``assertion_make``'s arguments."""
        arguments: dict[str, Any] = {
            "key": self.key,
            "tenant": self.tenant,
            "controller_id": self.controller_id,
            "audience": assertion_audience(DEVICE_URL, self.tenant),
            "now": now(),
        }
        return assertion_make(**(arguments | changes))

    async def sign_in(self, assertion: str = "") -> httpx.Response:
        """Exchange an assertion for an access token, which is kept."""
        response = await self.client.post(
            f"/{self.tenant}/agent/v1/token", json={"assertion": assertion or self.assertion()}
        )
        if response.is_success:
            self.access_token = response.json()["access_token"]
        return response

    async def join(self, token: str) -> None:
        """Enrol and sign in."""
        enrolled = await self.enrol(token)
        assert enrolled.status_code == 200, enrolled.text
        signed_in = await self.sign_in()
        assert signed_in.status_code == 200, signed_in.text

    @property
    def headers(self) -> dict[str, str]:
        """What every other request carries."""
        return {"Authorization": f"Bearer {self.access_token}"}


def certificate_of(answer: httpx.Response) -> x509.Certificate:
    """The certificate in an answer to an enrolment."""
    return x509.load_pem_x509_certificate(answer.json()["certificate_pem"].encode())
