"""The plan as one SQL statement, whatever the number of devices.

The same text counts (preview) and inserts (plan), so a preview cannot say anything else than what the plan does. It is
the set-wise twin of ``policy/assignment.py``, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rollouts.policy.assignment import HOLDOUT_MINIMUM, LARGE_STRATUM
from rollouts.policy.strategies import WaveShare
from rollouts.policy.transitions import DEPLOYMENT_IN_MOTION

# Reasons a device that the selector names is not planned.
ALREADY_RUNNING: Final = "already_running"  # counted, no row is kept: it may be most of the fleet
QUARANTINED: Final = "quarantined"
BUSY: Final = "busy"  # another rollout of the same model holds it
NO_VARIANT: Final = "no_variant"  # no variant fits its hardware
CANNOT_ATTEST: Final = "cannot_attest"  # the policy wants signed proof and the device has no key

_PLACED: Final = """
WITH hardware AS MATERIALIZED (
    -- The variant each hardware profile gets: its own, or the one for any hardware.
    SELECT h.id AS hardware_profile_id, fit.variant_id, fit.sha256
    FROM fleet_hardwareprofile h
    LEFT JOIN LATERAL (
        SELECT v.id AS variant_id, a.sha256
        FROM models_registry_variant v JOIN models_registry_artifact a ON a.id = v.artifact_id
        WHERE v.version_id = %(version_id)s AND (v.hardware_profile_id = h.id OR v.hardware_profile_id IS NULL)
        ORDER BY v.hardware_profile_id NULLS LAST, v.id
        LIMIT 1
    ) fit ON true
    WHERE h.organization_id = %(organization_id)s
), known AS MATERIALIZED (
    -- Every variant of the model by its digest: where a rollback can lead.
    SELECT DISTINCT ON (a.sha256) a.sha256, v.id AS variant_id
    FROM models_registry_variant v
    JOIN models_registry_artifact a ON a.id = v.artifact_id
    JOIN models_registry_modelversion m ON m.id = v.version_id
    WHERE m.model_id = %(model_id)s
    ORDER BY a.sha256, v.id
), model_rollout AS MATERIALIZED (
    SELECT r.id, r.state FROM rollouts_rollout r JOIN models_registry_modelversion m ON m.id = r.version_id
    WHERE m.model_id = %(model_id)s AND r.id <> %(rollout_id)s
), busy AS MATERIALIZED (
    -- Apart, since each has its index; the second one's needs its states as constants.
    SELECT d.device_id FROM model_rollout r JOIN rollouts_deployment d ON d.rollout_id = r.id
    WHERE r.state = ANY(%(holding)s) AND d.state = ANY(%(held)s)
    UNION
    SELECT d.device_id FROM rollouts_deployment d JOIN model_rollout r ON r.id = d.rollout_id
    WHERE d.state IN ({in_motion})
), considered AS (
    SELECT d.id, d.hardware_profile_id, coalesce(d.region_id, 0) AS region_id, h.variant_id,
        k.variant_id AS previous_variant_id,
        h0.digest, {bucket} AS share,
        CASE
            WHEN i.digest = h.sha256 THEN 'already_running'
            WHEN d.state <> 'accepted' THEN 'quarantined'
            WHEN h.variant_id IS NULL THEN 'no_variant'
            WHEN %(must_attest)s AND d.public_key IS NULL THEN 'cannot_attest'
            WHEN b.device_id IS NOT NULL THEN 'busy'
            ELSE ''
        END AS reason
    FROM fleet_device d
    -- OFFSET 0: computed once per device, not once for every use of it.
    CROSS JOIN LATERAL (SELECT sha256(convert_to(%(salt)s || ':' || d.controller_id, 'UTF8')) AS digest OFFSET 0) h0
    -- Every device has one; were it an inner join, devices would be read profile by profile, all pages each time.
    LEFT JOIN hardware h ON h.hardware_profile_id = d.hardware_profile_id
    LEFT JOIN fleet_installedmodel i ON i.device_id = d.id AND i.model_name = %(model_name)s
    LEFT JOIN known k ON k.sha256 = i.digest
    LEFT JOIN busy b ON b.device_id = d.id
    WHERE d.organization_id = %(organization_id)s AND d.state IN ('accepted', 'quarantined') {selected}
), candidate AS MATERIALIZED (
    -- A flag, since the database takes half of a flag's rows for set, but hardly any for one certain reason.
    SELECT *, reason = '' AS is_planned FROM considered
), stratum AS MATERIALIZED (
    SELECT c.region_id, c.hardware_profile_id, count(*) AS size, min(c.share) AS first_share,
        CASE WHEN %(holdout)s > 0 AND count(*) >= {holdout_minimum}
            THEN greatest(1, round(count(*) * %(holdout)s::float8)) ELSE 0 END AS held,
        sha256(convert_to(%(salt)s || ':' || c.region_id || '/' || c.hardware_profile_id, 'UTF8')) AS digest
    FROM candidate c WHERE c.is_planned GROUP BY c.region_id, c.hardware_profile_id
), positioned AS (
    -- Large strata: the hash alone, no sort.
    SELECT c.id, c.region_id, c.hardware_profile_id, c.variant_id, c.previous_variant_id,
        c.share = s.first_share AS is_first,
        c.share AS position, %(holdout)s > 0 AND c.share >= 1 - %(holdout)s::float8 AS is_held
    FROM candidate c JOIN stratum s USING (region_id, hardware_profile_id)
    WHERE c.is_planned AND s.size > {large_stratum}
    UNION ALL
    -- Small strata: the rank by hash, shifted per stratum.
    SELECT r.id, r.region_id, r.hardware_profile_id, r.variant_id, r.previous_variant_id, r.rank = 0,
        (r.rank + r.shift) / r.size, r.rank >= r.size - r.held
    FROM (
        SELECT c.id, c.region_id, c.hardware_profile_id, c.variant_id, c.previous_variant_id, s.size, s.held,
            {shift} AS shift,
            row_number() OVER (PARTITION BY c.region_id, c.hardware_profile_id ORDER BY c.digest) - 1 AS rank
        FROM candidate c JOIN stratum s USING (region_id, hardware_profile_id)
        WHERE c.is_planned AND s.size <= {large_stratum}
    ) r
), placed AS (
    SELECT p.id AS device_id, p.region_id, p.hardware_profile_id, p.variant_id, p.previous_variant_id, '' AS reason,
        CASE
            WHEN p.is_held THEN %(wave_count)s
            WHEN p.is_first AND %(covers_strata)s THEN 1
            ELSE 1 + width_bucket(p.position, %(thresholds)s::float8[])
        END AS wave
    FROM positioned p
    UNION ALL
    SELECT c.id, c.region_id, c.hardware_profile_id, c.variant_id, c.previous_variant_id, c.reason, 0
    FROM candidate c WHERE c.reason <> ''
)
"""

_COUNT: Final = """
SELECT wave, reason, region_id, hardware_profile_id, variant_id, previous_variant_id, count(*)
FROM placed GROUP BY wave, reason, region_id, hardware_profile_id, variant_id, previous_variant_id
"""

_INSERT: Final = """
, made AS (
    INSERT INTO rollouts_deployment
        (rollout_id, device_id, wave, variant_id, previous_variant_id, state, state_at, reason_code, evidence, attempt)
    SELECT %(rollout_id)s, device_id, wave, variant_id, previous_variant_id,
        CASE WHEN reason = '' THEN 'planned' ELSE 'skipped' END, %(now)s, reason, '', 0
    FROM placed WHERE reason <> 'already_running'
    RETURNING wave, reason_code, previous_variant_id
)
SELECT wave, reason_code, previous_variant_id, count(*) FROM made GROUP BY wave, reason_code, previous_variant_id
"""


def _bucket(column: str) -> str:
    """The first four bytes of a digest as a share, 0 to 1 (``assignment.share_of``)."""
    parts = " + ".join(
        f"get_byte({column}, {byte})::bigint * {factor}" for byte, factor in enumerate((2**24, 2**16, 2**8, 1))
    )
    return f"(({parts})::float8 / {2**32})"


def count_statement(selected: str) -> str:
    """Counts of devices per wave, reason, region (0: none), hardware profile and variants. ``selected``: as below."""
    return _placed(selected) + _COUNT


def insert_statement(selected: str) -> str:
    """Makes the deployments of a rollout and counts them per wave, reason and previous variant.

    ``selected``: SQL from our own code, with placeholders only.
    """
    return _placed(selected) + _INSERT


def _placed(selected: str) -> str:
    text = _PLACED
    for name, value in (
        ("selected", selected),
        ("bucket", _bucket("h0.digest")),
        ("shift", _bucket("s.digest")),
        ("holdout_minimum", str(HOLDOUT_MINIMUM)),
        ("large_stratum", str(LARGE_STRATUM)),
        ("in_motion", ", ".join(f"'{state}'" for state in sorted(DEPLOYMENT_IN_MOTION))),
    ):
        text = text.replace(f"{{{name}}}", value)
    return text


def wave_parameters(waves: Sequence[WaveShare]) -> dict[str, Any]:
    """The statement's parameters that come from a strategy's waves."""
    ordinary = [wave for wave in waves if not wave.is_holdout]
    return {
        "wave_count": len(waves),
        "thresholds": [wave.upto for wave in ordinary[:-1]],
        "covers_strata": waves[0].covers_strata,
        "holdout": next((wave.upto for wave in waves if wave.is_holdout), 0.0),
    }
