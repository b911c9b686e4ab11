"""A device's life, through the API."""

from __future__ import annotations

from fleet.models import Device, DeviceEvent
from governance.models import AuditEntry
from tests.factories.fleet import device_make
from tests.factories.people import Person


def address(device: Device, move: str) -> str:
    return f"/api/v1/devices/{device.public_id}/{move}/"


def test_quarantine_is_written_to_timeline_and_audit_log_and_ends_tokens(operator: Person) -> None:
    device = device_make(operator.organization)

    answer = operator.post(address(device, "quarantine"), {"reason": "odd traffic"})

    assert (answer.status_code, answer.json()["state"]) == (200, "quarantined")
    after = Device.objects.get(pk=device.pk)
    assert (after.token_generation, after.revision) == (device.token_generation + 1, device.revision + 1)
    assert after.tokens_revoked_at is not None
    event = DeviceEvent.objects.get(device_id=device.pk)
    assert (event.kind, event.data) == (
        "device.quarantined",
        {"from": "accepted", "to": "quarantined", "reason": "odd traffic"},
    )
    entry = AuditEntry.objects.get(action="device.quarantine")
    assert (entry.object_id, entry.reason, entry.actor_kind) == (str(device.public_id), "odd traffic", "token")


def test_each_state_allows_its_moves_and_no_other(operator: Person) -> None:
    allowed = {
        "pending": {"accept": "accepted", "decommission": "decommissioned"},
        "accepted": {"quarantine": "quarantined", "decommission": "decommissioned"},
        "quarantined": {"accept": "accepted", "decommission": "decommissioned"},
        "rejected": {"decommission": "decommissioned"},
        "decommissioned": {},
    }
    for state, moves in allowed.items():
        for move in ("accept", "quarantine", "decommission"):
            device = device_make(operator.organization, state=state)

            answer = operator.post(address(device, move), {"reason": "because"})

            device.refresh_from_db()
            if move in moves:
                assert (answer.status_code, device.state) == (200, moves[move]), (state, move)
            else:
                assert (answer.status_code, answer.json()["code"]) == (409, "fleet.invalid_transition"), (state, move)
                assert (device.state, device.revision) == (state, 1)


def test_a_refused_move_leaves_no_trace(operator: Person) -> None:
    device = device_make(operator.organization, state="decommissioned")

    operator.post(address(device, "accept"), {"reason": ""})

    assert not DeviceEvent.objects.filter(device_id=device.pk).exists()
    assert not AuditEntry.objects.filter(action="device.accept").exists()


def test_another_organizations_device_does_not_exist(outsider: Person, operator: Person) -> None:
    device = device_make(operator.organization)

    answer = outsider.post(address(device, "decommission"), {"reason": ""})

    assert (answer.status_code, answer.json()["code"]) == (404, "fleet.device_not_found")
    assert Device.objects.get(pk=device.pk).state == "accepted"


def test_a_viewer_moves_nothing(viewer: Person) -> None:
    device = device_make(viewer.organization)

    assert viewer.post(address(device, "quarantine"), {"reason": ""}).status_code == 403
    assert Device.objects.get(pk=device.pk).state == "accepted"
