from typing import ClassVar

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

# One index by device and rollout does the work of two; every index is a sixth of the cost of planning.
# Made beside the running system: the index first, without locking the table, then the constraint on it.
ONCE = models.UniqueConstraint(fields=["device", "rollout"], name="deployment_once_per_device")


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar = [("rollouts", "0002_rollout_looked_at")]

    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY deployment_once_per_device "
                    "ON rollouts_deployment (device_id, rollout_id)",
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    "ALTER TABLE rollouts_deployment "
                    "ADD CONSTRAINT deployment_once_per_device UNIQUE USING INDEX deployment_once_per_device",
                    "ALTER TABLE rollouts_deployment DROP CONSTRAINT deployment_once_per_device",
                ),
            ],
            state_operations=[migrations.AddConstraint(model_name="deployment", constraint=ONCE)],
        ),
        migrations.RemoveConstraint(model_name="deployment", name="deployment_once"),
        RemoveIndexConcurrently(model_name="deployment", name="deployment_of_device"),
    ]
