"""A newer plan takes the place of what older, finished rollouts of the model still had open for the same devices."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import connection

from fleet.services.revisions import device_revisions_bump
from models_registry.models import ModelVersion
from rollouts.models import Rollout
from rollouts.policy.transitions import ROLLOUT_HOLDING

# Offered and waiting ones are cancelled; claimed ones that never proved anything have failed. Those in motion are not
# here: the planner left their devices out.
_SUPERSEDE: Final = """
WITH still_open AS MATERIALIZED (
    -- First what is old, usually nothing: the new plan may be a million rows the database has no statistics of yet.
    SELECT d.id, d.device_id FROM rollouts_rollout r
    JOIN models_registry_modelversion m ON m.id = r.version_id
    JOIN rollouts_deployment d ON d.rollout_id = r.id
    WHERE m.model_id = %(model_id)s AND r.id <> %(rollout_id)s AND NOT r.state = ANY(%(holding)s)
        AND d.state IN ('planned', 'offered', 'retry_wait', 'probation', 'restoring')
), old AS MATERIALIZED (
    SELECT o.id, o.device_id FROM still_open o
    JOIN rollouts_deployment n ON n.device_id = o.device_id AND n.rollout_id = %(rollout_id)s AND n.state = 'planned'
), closed AS (
    UPDATE rollouts_action a SET state = 'closed', result = 'cancelled', closed_at = %(at)s
    FROM old WHERE a.deployment_id = old.id AND a.state <> 'closed'
    RETURNING a.device_id
), moved AS (
    UPDATE rollouts_deployment d SET state_at = %(at)s, reason_code = 'superseded', retry_at = NULL,
        state = CASE d.state WHEN 'probation' THEN 'failed' WHEN 'restoring' THEN 'restore_failed' ELSE 'cancelled' END
    FROM old WHERE d.id = old.id
    RETURNING d.device_id
)
SELECT (SELECT count(*) FROM moved), (SELECT array_agg(device_id) FROM closed)
"""


def older_deployments_supersede(*, rollout: Rollout, at: datetime) -> int:
    """End the older deployments; inside the planning transaction. Returns how many."""
    model_id = ModelVersion.objects.values_list("model_id", flat=True).get(pk=rollout.version_id)
    with connection.cursor() as cursor:
        cursor.execute(
            _SUPERSEDE,
            {"rollout_id": rollout.pk, "model_id": model_id, "holding": sorted(ROLLOUT_HOLDING), "at": at},
        )
        count, devices = cursor.fetchone() or (0, None)
    device_revisions_bump(device_ids=devices or [])
    return int(count)
