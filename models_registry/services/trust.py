"""The image repository of an organization: TUF metadata the server signs itself (``online-key`` mode).

Four roles with one Ed25519 key each. ``consistent_snapshot`` is true: a device that has read a timestamp finds exactly
the snapshot and targets it names, however many approvals happen meanwhile (TUF specification, section 6.2); with one
moving name per file, every approval would fail some device in the middle of its update. Target files themselves are
fetched through the update protocol and only verified here, so their names carry no hash.

Every change takes the organization's lock, raises the versions of what it touches, and writes all of it in one
transaction: devices see all of a change or none. A root's version grows by one (section 5.3); the others follow the
clock, because devices refuse versions lower than those they have seen: signed again after a database was restored from
a backup, metadata is newer than what was signed after that backup and lost with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from tuf.api.metadata import (  # type: ignore[attr-defined]
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from common.clock import now
from governance.services.audit import audit_write
from governance.types import SYSTEM, Actor
from models_registry.models import SigningKey, TrustMetadata
from models_registry.services.keys import key_create, key_load
from models_registry.services.locks import lock_trust

logger = logging.getLogger(__name__)

ROLES = ("root", "targets", "snapshot", "timestamp")
# How long a signature holds, and how much of that must be left; the periodic task renews in between.
LIFETIMES = {
    "root": (timedelta(days=365), timedelta(days=60)),
    "targets": (timedelta(days=90), timedelta(days=30)),
    "snapshot": (timedelta(days=14), timedelta(days=7)),
    "timestamp": (timedelta(days=2), timedelta(days=1)),
}
# Superseded metadata devices may still be reading; roots are kept for good, each leads to the next.
KEPT_VERSIONS = 20
_SPECIFICATION = "1.0.31"
_VERSION_ZERO = datetime(2025, 1, 1, tzinfo=UTC)  # seconds since then fit a 32 bit version number until 2093
_SWEEP_LIMIT = 1_000


@dataclass(frozen=True)
class SignedTarget:
    """A file devices may install: its path in the repository, length and SHA-256 (hex)."""

    path: str
    size_bytes: int
    sha256: str


def trust_root(organization_id: int) -> str:
    """The newest ``root.json`` as text: what a device gets at enrolment. Makes the repository on first use."""
    with transaction.atomic():
        repository = _Repository(organization_id)
        return repository.bytes_of("root").decode()


def targets_add(*, organization_id: int, targets: list[SignedTarget]) -> None:
    """Sign files as installable. In the caller's transaction, which holds the organization's lock until its end."""
    repository = _Repository(organization_id)
    signed = repository.signed("targets")
    for target in targets:
        signed.targets[target.path] = TargetFile(target.size_bytes, {"sha256": target.sha256}, target.path)
    repository.sign("targets", signed)
    repository.write()


def trust_refresh(*, organization_id: int) -> list[str]:
    """Sign again what will expire soon. Idempotent. Returns the roles that were."""
    with transaction.atomic():
        repository = _Repository(organization_id)
        for role in ROLES:
            _, least = LIFETIMES[role]
            if repository.expires_at(role) - now() < least:
                repository.sign(role, repository.signed(role))
        return repository.write()


def trust_sign_anew(*, organization_id: int, actor: Actor = SYSTEM) -> None:
    """Sign everything but the root again, in versions higher than any signed before, now lost ones included.

    For after a restore from a backup: until then devices that have seen newer metadata refuse the old.
    """
    with transaction.atomic():
        repository = _Repository(organization_id)
        repository.sign("targets", repository.signed("targets"))
        repository.write()
        audit_write(
            organization_id=organization_id,
            actor=actor,
            action="trust.sign_anew",
            object_kind="organization",
            object_id=str(organization_id),
        )


def trust_rotate(*, organization_id: int, role: str, actor: Actor = SYSTEM) -> None:
    """Replace a role's key by a new one and retire the old.

    The new root is signed by the old root key and the new: devices follow the chain (TUF specification, 5.3).

    Raises:
        ValueError: there is no such role.
    """
    if role not in ROLES:
        raise ValueError(role)
    with transaction.atomic():
        repository = _Repository(organization_id)
        key = repository.rotate(role)
        repository.write()
        audit_write(
            organization_id=organization_id,
            actor=actor,
            action="trust.rotate",
            object_kind="signing_key",
            object_id=key.key_id,
            data={"role": role},
        )


def trusted_organizations() -> list[int]:
    """The organizations that have an image repository."""
    owners = TrustMetadata.objects.order_by("organization_id").values_list("organization_id", flat=True)
    return list(owners.distinct())


def trust_refresh_all() -> int:
    """``trust_refresh`` for every organization that has a repository, and old metadata removed; for the periodic task.

    One failing organization does not stop the rest. Returns how many had something signed.
    """
    renewed = 0
    for organization_id in trusted_organizations():
        try:
            renewed += bool(trust_refresh(organization_id=organization_id))
            _forget_old(organization_id)
        except Exception:
            logger.exception("trust metadata of organization %s was not renewed", organization_id)
    return renewed


def _forget_old(organization_id: int) -> None:
    for role in ROLES[1:]:
        rows = TrustMetadata.objects.filter(organization_id=organization_id, role=role)
        kept = rows.order_by("-version").values_list("version", flat=True)[:KEPT_VERSIONS]
        old = rows.filter(version__lt=min(kept, default=0)).order_by("version")
        TrustMetadata.objects.filter(pk__in=old.values("pk")[:_SWEEP_LIMIT]).delete()


def _next_version(role: str, previous: int) -> int:
    if role == "root":
        return previous + 1
    return max(previous + 1, int((now() - _VERSION_ZERO).total_seconds()))


class _Repository:
    """One organization's metadata under its lock: read, changed, written as new versions. Needs a transaction."""

    def __init__(self, organization_id: int) -> None:
        lock_trust(organization_id)
        self._organization_id = organization_id
        self._metadata: dict[str, Metadata[Any]] = {}
        self._changed: list[str] = []
        self._keys = {
            key.role: key for key in SigningKey.objects.filter(organization_id=organization_id, retired_at=None)
        }
        for role in ROLES:
            newest = TrustMetadata.objects.filter(organization_id=organization_id, role=role).order_by("-version")
            row = newest.first()
            if row is not None:
                self._metadata[role] = Metadata.from_bytes(bytes(row.content))
        if not self._metadata:
            self._create()

    def _create(self) -> None:
        for role in ROLES:
            self._keys[role] = key_create(organization_id=self._organization_id, role=role)
        root = Root(version=1, spec_version=_SPECIFICATION, expires=now(), consistent_snapshot=True)
        for role in ROLES:
            root.add_key(self._public(role), role)
        self.sign("root", root)
        self.sign("targets", Targets(version=1, spec_version=_SPECIFICATION, expires=now()))
        self.sign("snapshot", Snapshot(version=1, spec_version=_SPECIFICATION, expires=now()))
        self.sign("timestamp", Timestamp(version=1, spec_version=_SPECIFICATION, expires=now()))
        self.write()

    def _public(self, role: str) -> Key:
        key = self._keys[role]
        return Key.from_dict(key.key_id, dict(key.public))

    def bytes_of(self, role: str) -> bytes:
        """The newest metadata as devices get it."""
        return self._metadata[role].to_bytes(JSONSerializer(compact=True))

    def expires_at(self, role: str) -> datetime:
        """When its signature ends."""
        expires: datetime = self._metadata[role].signed.expires
        return expires

    def signed(self, role: str) -> Any:
        """The part of a role's metadata that is signed, to be changed and given to ``sign``."""
        return self._metadata[role].signed

    def sign(self, role: str, signed: Any, *, former: list[SigningKey] | None = None) -> None:
        """A new version of a role's metadata; ``former`` keys sign too, where devices know no other yet."""
        lifetime, _ = LIFETIMES[role]
        if role in self._metadata:
            signed.version = _next_version(role, signed.version)
        signed.expires = (now() + lifetime).replace(microsecond=0)
        metadata: Metadata[Any] = Metadata(signed)
        for key in [*(former or []), self._keys[role]]:
            metadata.sign(key_load(key), append=True)
        self._metadata[role] = metadata
        if role not in self._changed:
            self._changed.append(role)

    def rotate(self, role: str) -> SigningKey:
        """Give a role a new key and say so in a new root. Returns the new key."""
        former = self._keys[role]
        root: Root = self.signed("root")
        root.revoke_key(former.key_id, role)
        SigningKey.objects.filter(pk=former.pk).update(retired_at=now())
        self._keys[role] = key_create(organization_id=self._organization_id, role=role)
        root.add_key(self._public(role), role)
        self.sign("root", root, former=[former] if role == "root" else None)
        if role != "root":
            self.sign(role, self._metadata[role].signed)
        return self._keys[role]

    def write(self) -> list[str]:
        """Write every changed role, and what must name it, as rows. Returns the roles."""
        if "targets" in self._changed and "snapshot" not in self._changed:
            self.sign("snapshot", self._metadata["snapshot"].signed)
        if "snapshot" in self._changed:
            snapshot: Snapshot = self._metadata["snapshot"].signed
            snapshot.meta["targets.json"] = self._named("targets")
            self._resign("snapshot")
            if "timestamp" not in self._changed:
                self.sign("timestamp", self._metadata["timestamp"].signed)
            timestamp: Timestamp = self._metadata["timestamp"].signed
            timestamp.snapshot_meta = self._named("snapshot")
            self._resign("timestamp")
        TrustMetadata.objects.bulk_create(
            TrustMetadata(
                organization_id=self._organization_id,
                role=role,
                version=self._metadata[role].signed.version,
                content=self.bytes_of(role),
                expires_at=self.expires_at(role),
                created_at=now(),
            )
            for role in self._changed
        )
        written, self._changed = self._changed, []
        return written

    def _named(self, role: str) -> MetaFile:
        """How another role names this one: version, length and hash, so that nothing can be mixed."""
        return MetaFile.from_data(self._metadata[role].signed.version, self.bytes_of(role), ["sha256"])

    def _resign(self, role: str) -> None:
        self._metadata[role].sign(key_load(self._keys[role]))
