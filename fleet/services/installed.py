"""The ledger of what runs on devices; written on proof."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from common.clock import now
from fleet.models import Evidence, InstalledModel

# One statement, so that two reports at once cannot lose what ran before. A weaker proof of the same digest does not
# replace a stronger one, and does not restart ``since``.
_RECORD = """
INSERT INTO fleet_installedmodel AS old
    (device_id, model_name, version, digest, evidence, since, previous_version, previous_digest)
VALUES (%(device_id)s, %(model_name)s, %(version)s, %(digest)s, %(evidence)s, %(since)s, '', '')
ON CONFLICT (device_id, model_name) DO UPDATE SET
    previous_version = CASE WHEN old.digest = EXCLUDED.digest THEN old.previous_version ELSE old.version END,
    previous_digest = CASE WHEN old.digest = EXCLUDED.digest THEN old.previous_digest ELSE old.digest END,
    since = CASE WHEN old.digest = EXCLUDED.digest THEN old.since ELSE EXCLUDED.since END,
    evidence = CASE WHEN old.digest = EXCLUDED.digest
                     AND array_position(%(order)s::text[], old.evidence::text)
                       > array_position(%(order)s::text[], EXCLUDED.evidence::text)
                    THEN old.evidence ELSE EXCLUDED.evidence END,
    version = EXCLUDED.version,
    digest = EXCLUDED.digest
"""
_WEAKEST_FIRST = [Evidence.CLAIMED.value, Evidence.OBSERVED.value, Evidence.ATTESTED.value]


def installed_model_record(
    *,
    device_id: int,
    model_name: str,
    version: str,
    digest: str,
    evidence: Evidence,
    since: datetime | None = None,
) -> None:
    """Write what runs on a device, keeping what ran before beside it. Idempotent.

    Args:
        device_id: the device's number.
        model_name: the model's name.
        version: the version string.
        digest: SHA-256 of the running file, hex.
        evidence: how well it is known; for the same digest the strongest stays.
        since: when it was proven; None for now.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "device_id": device_id,
                "model_name": model_name,
                "version": version,
                "digest": digest,
                "evidence": Evidence(evidence).value,
                "since": since or now(),
                "order": _WEAKEST_FIRST,
            },
        )


def installed_model_forget(*, device_id: int, model_name: str) -> bool:
    """Forget a model that no longer runs on a device (a rollback of its first version). True when there was one."""
    count, _ = InstalledModel.objects.filter(device_id=device_id, model_name=model_name).delete()
    return count > 0
