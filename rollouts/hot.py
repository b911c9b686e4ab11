"""What every poll and every artifact range asks the database, without the ORM.

Each statement is run by a test against the migrated schema, and each carries the organization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from common.pool import async_pool
from rollouts.policy.transitions import ROLLOUT_OFFERING

_OFFERING: Final = sorted(ROLLOUT_OFFERING)
_CANDIDATES_MAX: Final = 8  # deployments of one device looked at per poll; the older go first anyway

# What a device's root resource is made of. A deployment waits either for its wave or, restoring, for nothing (wave 0).
POLL: Final = f"""
SELECT d.id, d.organization_id, d.revision, d.state, d.attributes_wanted, d.public_key IS NOT NULL,
    a.number, a.state, a.created_at,
    CASE WHEN a.kind = 'install' AND a.state = 'open' AND a.retrieved_at IS NULL THEN o.rollout_id END, o.wave,
    done.number, due.rollouts, due.waves, due.offered, r.offered
FROM fleet_device d
LEFT JOIN rollouts_action a ON a.device_id = d.id AND a.state <> 'closed'
LEFT JOIN rollouts_deployment o ON o.id = a.deployment_id
LEFT JOIN LATERAL (
    SELECT CASE WHEN r.state = ANY(%(offering)s) THEN r.released_wave ELSE 0 END AS offered
    FROM rollouts_rollout r WHERE r.id = o.rollout_id
) r ON true
LEFT JOIN LATERAL (
    SELECT max(x.number) AS number FROM rollouts_action x
    WHERE x.device_id = d.id AND x.state = 'closed' AND x.result = 'success'
) done ON true
LEFT JOIN LATERAL (
    SELECT array_agg(c.rollout_id) AS rollouts, array_agg(c.wave) AS waves, array_agg(c.offered) AS offered
    FROM (
        SELECT p.rollout_id, CASE WHEN p.state = 'restoring' THEN 0 ELSE p.wave END AS wave,
            CASE WHEN q.state = ANY(%(offering)s) THEN q.released_wave ELSE 0 END AS offered
        FROM rollouts_deployment p JOIN rollouts_rollout q ON q.id = p.rollout_id
        WHERE p.device_id = d.id AND (
            p.state IN ('planned', 'offered')
            OR (p.state = 'restoring' AND p.retry_at IS NULL AND NOT EXISTS (
                SELECT 1 FROM rollouts_action y WHERE y.deployment_id = p.id AND y.kind = 'restore'
                AND y.state = 'closed' AND y.result = 'success'
            ))
        )
        ORDER BY p.state = 'restoring' DESC, p.id LIMIT {_CANDIDATES_MAX}
    ) c
) due ON true
WHERE d.id = ANY(%(ids)s) AND d.organization_id = ANY(%(organizations)s)
"""  # noqa: S608 - a constant of ours

REVISIONS: Final = "SELECT id, revision FROM fleet_device WHERE id = ANY(%s)"

RELEASED: Final = """
SELECT id, CASE WHEN state = ANY(%(offering)s) THEN released_wave ELSE 0 END
FROM rollouts_rollout WHERE id = ANY(%(ids)s)
"""

# A file is given to a device that was asked to install it, until the action ended badly.
ARTIFACT: Final = """
SELECT a.sha256, a.sha1, a.md5, a.size_bytes, a.created_at,
    array_agg(p.store ORDER BY p.id), array_agg(p.key ORDER BY p.id)
FROM rollouts_action x
JOIN fleet_device d ON d.id = x.device_id AND d.organization_id = %(organization_id)s
JOIN models_registry_variant v ON v.id = x.variant_id AND v.public_id = %(module)s
JOIN models_registry_artifact a ON a.id = CASE WHEN %(is_manifest)s THEN v.manifest_id ELSE v.artifact_id END
JOIN models_registry_replica p ON p.artifact_id = a.id
WHERE x.device_id = %(device_id)s AND (x.state <> 'closed' OR x.result = 'success')
GROUP BY x.id, a.id ORDER BY x.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class PollRow:
    """One row of ``POLL``.

    Args:
        action: number of the open action, or None.
        is_cancelling: the open action is being cancelled.
        waits_for: rollout and wave the action is visible for, while the device has not fetched it.
        installed: number of the last action that ended well.
        due: rollouts and waves of deployments that may get an action.
        offered: the waves offered now, by rollout, as read with the row.
    """

    device_id: int
    organization_id: int
    revision: int
    is_accepted: bool
    attributes_wanted: bool
    can_sign: bool
    action: int | None
    action_at: datetime | None
    is_cancelling: bool
    waits_for: tuple[int, int] | None
    installed: int | None
    due: tuple[tuple[int, int], ...]
    offered: dict[int, int]


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One row of ``ARTIFACT``; ``replicas`` are pairs of store name and key, oldest first."""

    sha256: str
    sha1: str
    md5: str
    size_bytes: int
    created_at: datetime
    replicas: tuple[tuple[str, str], ...]


async def poll_rows(owners: Mapping[int, int]) -> list[PollRow]:
    """What these devices would be told, in one query. ``owners``: device number -> its organization's."""
    organizations = sorted(set(owners.values()))
    rows = await _fetch(POLL, {"ids": list(owners), "organizations": organizations, "offering": _OFFERING})
    return [_poll_row(row) for row in rows]


def _poll_row(row: tuple[Any, ...]) -> PollRow:
    rollouts, waves, offered = row[12] or [], row[13] or [], row[14] or []
    known = dict(zip(rollouts, offered, strict=True))
    if row[9] is not None:
        known[row[9]] = row[15]
    return PollRow(
        device_id=row[0],
        organization_id=row[1],
        revision=row[2],
        is_accepted=row[3] == "accepted",
        attributes_wanted=row[4],
        can_sign=row[5],
        action=row[6],
        is_cancelling=row[7] == "cancelling",
        action_at=row[8],
        waits_for=(row[9], row[10]) if row[9] is not None else None,
        installed=row[11],
        due=tuple(zip(rollouts, waves, strict=True)),
        offered=known,
    )


async def revisions(device_ids: Sequence[int]) -> dict[int, int]:
    """The devices' revisions now."""
    return dict(await _fetch(REVISIONS, [list(device_ids)]))


async def released_waves(rollout_ids: Sequence[int]) -> dict[int, int]:
    """The highest wave each rollout offers now; 0 for none."""
    return dict(await _fetch(RELEASED, {"ids": list(rollout_ids), "offering": _OFFERING}))


async def artifact_row(*, organization_id: int, device_id: int, module: UUID, is_manifest: bool) -> ArtifactRow | None:
    """A file of a variant this device was asked to run; None when it was not."""
    rows = await _fetch(
        ARTIFACT,
        {"organization_id": organization_id, "device_id": device_id, "module": module, "is_manifest": is_manifest},
    )
    if not rows:
        return None
    sha256, sha1, md5, size_bytes, created_at, stores, keys = rows[0]
    return ArtifactRow(sha256, sha1, md5, size_bytes, created_at, tuple(zip(stores, keys, strict=True)))


async def _fetch(statement: str, parameters: Any) -> list[tuple[Any, ...]]:
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(statement, parameters, prepare=True)
        return await cursor.fetchall()
