"""The one way into the audit log."""

from __future__ import annotations

from typing import Any

from django.db import connection

from common.clock import now
from governance.models import AuditEntry
from governance.types import Actor

# The row lock taken by this UPDATE is what makes numbers gapless: it is held until the caller's transaction ends,
# and a transaction that rolls back gives its number back.
_NEXT_NUMBER = "UPDATE governance_organization SET audit_number = audit_number + 1 WHERE id = %s RETURNING audit_number"


def audit_write(
    *,
    organization_id: int,
    actor: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    reason: str = "",
    data: dict[str, Any] | None = None,
) -> AuditEntry:
    """Append an entry. Call it inside the transaction that makes the change, as its last statement but one.

    Args:
        organization_id: whose log.
        actor: who did it.
        action: ``<entity>.<verb>``, for example ``rollout.pause``.
        object_kind: the entity's kind.
        object_id: its public id.
        reason: what the person gave as reason.
        data: what changed, small; never secrets.

    Raises:
        RuntimeError: outside a transaction, or the organization does not exist.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("audit_write must run inside the transaction of the change it records")
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_NUMBER, [organization_id])
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError(f"no organization {organization_id}")
    return AuditEntry.objects.create(
        organization_id=organization_id,
        number=row[0],
        at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        action=action,
        object_kind=object_kind,
        object_id=object_id,
        reason=reason,
        data=data or {},
    )
