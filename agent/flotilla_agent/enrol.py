"""Joining: one request with a token, and an identity for good."""

from __future__ import annotations

import httpx

from flotilla_agent import __version__
from flotilla_agent.client import (
    TIMEOUT,
    USER_AGENT,
    Addresses,
    Answer,
    RefusedError,
    UnreachableError,
    refusal,
)
from flotilla_agent.hardware import attributes_found, hardware_found
from flotilla_agent.identity import Enrolment, Identity
from flotilla_protocol import codec
from flotilla_protocol.identity import csr_make
from flotilla_protocol.messages import EnrolRequest, EnrolResponse

ADVICE = {
    "fleet.enrolment_refused": "Ask an operator for a new enrolment token; each lets one device in, once.",
    "fleet.device_exists": "Choose another --id, or bring back the state folder this device had.",
    "fleet.invalid_csr": "The state folder belongs to a device with another --id.",
}


class EnrolmentError(Exception):
    """The device was not let in; the text says why and what to try."""


def enrol(
    *,
    identity: Identity,
    addresses: Addresses,
    token: str,
    profile: str,
    name: str = "",
    attributes: dict[str, str] | None = None,
    http: httpx.Client | None = None,
) -> Enrolment:
    """Enrol, or return the enrolment there already is. Idempotent: repeating after a lost answer is safe.

    Raises:
        EnrolmentError: refused, or the state folder belongs to another device.
        UnreachableError: the control plane is away; try again.
    """
    existing = identity.enrolment
    if existing is not None:
        asked = (addresses.tenant.lower(), addresses.controller_id)
        if asked != (existing.tenant.lower(), existing.controller_id):
            raise EnrolmentError(
                f"This state folder belongs to {existing.tenant}/{existing.controller_id}. Choose another with --state."
            )
        return existing
    request = EnrolRequest(
        token=token,
        controller_id=addresses.controller_id,
        name=name or addresses.controller_id,
        csr_pem=csr_make(identity.key, addresses.controller_id),
        agent_version=__version__,
        hardware=hardware_found(profile),
        attributes={**attributes_found(), **(attributes or {})},
    )
    client = http or httpx.Client(timeout=TIMEOUT, headers={"User-Agent": USER_AGENT})
    try:
        response = client.post(addresses.enrol, content=codec.encode(request), headers={"Content-Type": codec.JSON})
    except httpx.HTTPError as error:
        raise UnreachableError(f"{addresses.server} cannot be reached: {error or type(error).__name__}") from error
    finally:
        if http is None:
            client.close()
    if not response.is_success:
        problem = refusal(response.status_code, response.headers, response.content)
        if isinstance(problem, RefusedError):
            raise EnrolmentError(f"{problem.text} {ADVICE.get(problem.code, '')}".strip())
        raise problem
    answer = Answer(response.status_code, response.headers, response.content).message(EnrolResponse)
    return identity.keep(addresses.server, answer)
