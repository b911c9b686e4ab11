from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# The event table is partitioned by month. There is no foreign key to the device: devices are decommissioned and
# never deleted, and the check would cost every bulk append a lookup per row. Months are attached by
# fleet.services.partitions; the default partition catches what no month covers, such as a device's wrong clock.
FORWARD = """
CREATE SEQUENCE fleet_deviceevent_id_seq AS bigint;
CREATE TABLE fleet_deviceevent (
    id bigint NOT NULL DEFAULT nextval('fleet_deviceevent_id_seq'),
    device_id bigint NOT NULL,
    at timestamptz NOT NULL,
    kind varchar(48) NOT NULL,
    reference_kind varchar(32) NOT NULL DEFAULT '',
    reference_id uuid,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
ALTER SEQUENCE fleet_deviceevent_id_seq OWNED BY fleet_deviceevent.id;
-- A device's timeline, newest first.
CREATE INDEX fleet_deviceevent_timeline ON fleet_deviceevent (device_id, id DESC);
-- "What changed before": a range of time over many devices; rows arrive nearly in order of time.
CREATE INDEX fleet_deviceevent_at ON fleet_deviceevent USING brin (at);
CREATE TABLE fleet_deviceevent_default PARTITION OF fleet_deviceevent DEFAULT;
"""
BACKWARD = "DROP TABLE fleet_deviceevent;"


class Migration(migrations.Migration):
    """The ledger of device events."""

    dependencies: ClassVar = [("fleet", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(FORWARD, BACKWARD)]
