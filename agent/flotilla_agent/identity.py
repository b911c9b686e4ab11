"""The device's identity on disk: its key, its certificate, and whom it belongs to."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from flotilla_agent.files import PRIVATE_FILE, read_or_none, write_atomic
from flotilla_protocol import identity as proofs
from flotilla_protocol.messages import EnrolResponse


class Enrolment(msgspec.Struct, frozen=True):
    """What enrolment gave, and where."""

    server: str
    tenant: str
    controller_id: str
    device_id: str


class Identity:
    """Key and enrolment of one device in its folder.

    The key is made once and kept even when enrolment fails, so that repeating a request whose answer was lost
    is the very same request.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key_path = folder / "key.pem"
        self._enrolment_path = folder / "enrolment.json"
        self.key = self._load_or_make_key()

    def _load_or_make_key(self) -> proofs.PrivateKey:
        pem = read_or_none(self._key_path)
        if pem is not None:
            self._key_path.chmod(PRIVATE_FILE)
            return proofs.key_from_pem(pem)
        key = proofs.key_generate()
        write_atomic(self._key_path, proofs.key_to_pem(key))
        return key

    @property
    def enrolment(self) -> Enrolment | None:
        """The enrolment, or None before the first."""
        content = read_or_none(self._enrolment_path)
        return None if content is None else msgspec.json.decode(content, type=Enrolment)

    @property
    def root_metadata(self) -> bytes:
        """The TUF root of first trust, as enrolment gave it."""
        return (self._folder / "root.json").read_bytes()

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts what this machine trusts (``SSL_CERT_FILE`` adds to it) and shows the device's certificate
        to a server that asks for one, as a proxy in front of the device doors does.
        """
        context = ssl.create_default_context()
        certificate = self._folder / "certificate.pem"
        if certificate.exists():
            context.load_cert_chain(certificate, self._key_path)
        return context

    def keep(self, server: str, response: EnrolResponse) -> Enrolment:
        """Store an enrolment; ``enrolment.json`` is written last and makes it so."""
        write_atomic(self._folder / "certificate.pem", response.certificate_pem.encode())
        write_atomic(self._folder / "authority.pem", response.authority_pem.encode())
        write_atomic(self._folder / "root.json", response.root_metadata.encode())
        enrolment = Enrolment(
            server=server.rstrip("/"),
            tenant=response.tenant,
            controller_id=response.controller_id,
            device_id=response.device_id,
        )
        write_atomic(self._enrolment_path, msgspec.json.encode(enrolment))
        return enrolment
