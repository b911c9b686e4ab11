from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# A statement trigger, so that even an UPDATE that matches no row is refused, and TRUNCATE with it.
FORWARD = """
CREATE FUNCTION governance_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER governance_audit_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON governance_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION governance_audit_refuse();
"""
BACKWARD = """
DROP TRIGGER governance_audit_append_only ON governance_auditentry;
DROP FUNCTION governance_audit_refuse();
"""


class Migration(migrations.Migration):
    """The audit log refuses changes."""

    dependencies: ClassVar = [("governance", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(FORWARD, BACKWARD)]
