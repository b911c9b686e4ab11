"""Drift from stored sketches to cells, alerts and the screen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.clock import advanced, now
from fleet.services.events import device_event_append
from governance.models import AuditEntry, Organization
from models_registry.models import ModelVersion
from telemetry.models import Alert, AlertRule, DriftScore
from telemetry.policy.drift_alert import RESOLVE_AFTER
from telemetry.services.alert_rules import alert_rule_defaults_ensure
from telemetry.services.drift import DriftEvaluation, drift_evaluate, drift_evaluate_due, drift_scores_thin
from tests.factories.people import Person
from tests.factories.telemetry import (
    Sender,
    batch_store,
    now_ms,
    profile_make,
    sender_make,
    sketches_make,
    version_make,
    window_make,
)

pytestmark = [pytest.mark.sql, pytest.mark.django_db]
Floats = NDArray[np.float64]


class Fleet:
    """Devices in regions that run ``digits`` 1.0.0, whose reference is a normal brightness and a normal contrast."""

    def __init__(self, organization: Organization) -> None:
        self.random = np.random.default_rng(7)
        self.organization = organization
        self.version: ModelVersion = version_make(organization)
        self.profile = profile_make(
            self.version, {name: self.random.normal(0, 1, 5_000) for name in ("brightness", "contrast")}
        )
        self.senders: dict[str, list[Sender]] = {}
        alert_rule_defaults_ensure()

    def join(self, region: str, count: int, hardware: str = "box") -> list[Sender]:
        made = [sender_make(self.organization, region=region, hardware=hardware) for _ in range(count)]
        self.senders.setdefault(region, []).extend(made)
        return made

    def report(
        self, *, rows: int = 500, shifted: str | None = None, feature: str = "contrast", by: float = 1.5
    ) -> None:
        """One window of every device; in the region ``shifted`` one feature lies off its reference."""
        for region, senders in self.senders.items():
            for sender in senders:
                values = {name: self.random.normal(0, 1, rows) for name in ("brightness", "contrast")}
                if region == shifted:
                    values[feature] += by
                sketches = sketches_make(self.profile, values)
                batch_store(sender, window_make(at_ms=now_ms() - 1_000, inference_count=rows, sketches=sketches))

    def evaluate(self) -> DriftEvaluation:
        evaluation = drift_evaluate(organization_id=self.organization.pk)
        assert evaluation is not None
        return evaluation


@pytest.fixture
def fleet(organization: Organization) -> Fleet:
    return Fleet(organization)


def _verdicts(evaluation: DriftEvaluation) -> dict[tuple[str | None, str | None, str], str]:
    rows = DriftScore.objects.filter(window_end=evaluation.window_end).select_related("region", "hardware_profile")
    return {
        (
            row.region.name if row.region else None,
            row.hardware_profile.name if row.hardware_profile else None,
            row.feature,
        ): row.verdict
        for row in rows
    }


def test_drift_shows_in_the_drifting_region_and_feature_only(fleet: Fleet) -> None:
    for region in ("north", "south", "west"):
        fleet.join(region, 3)
    fleet.report(shifted="south")
    verdicts = _verdicts(fleet.evaluate())
    assert {key for key, verdict in verdicts.items() if verdict != "quiet"} == {("south", None, "contrast")}
    assert verdicts["south", None, "contrast"] == "alert"


def test_a_region_with_several_hardware_profiles_is_judged_by_each_as_well(fleet: Fleet) -> None:
    fleet.join("north", 2, "box")
    fleet.join("north", 2, "jetson")
    fleet.report()
    verdicts = _verdicts(fleet.evaluate())
    assert {(region, profile) for region, profile, _ in verdicts} == {
        ("north", None),
        ("north", "box"),
        ("north", "jetson"),
    }


def test_regions_with_too_few_rows_are_judged_together(fleet: Fleet) -> None:
    for region in ("north", "south"):
        fleet.join(region, 1)
    fleet.report(rows=200)
    verdicts = _verdicts(fleet.evaluate())
    assert verdicts["north", None, "contrast"] == verdicts["south", None, "contrast"] == "not_enough_data"
    assert verdicts[None, None, "contrast"] == "quiet"


def test_windows_outside_the_evaluations_time_do_not_count(fleet: Fleet) -> None:
    fleet.join("north", 1)
    fleet.report()
    fleet.evaluate()
    with advanced(timedelta(hours=2)):
        assert drift_evaluate(organization_id=fleet.organization.pk) is None


def test_versions_without_a_profile_and_sketches_on_other_bins_are_left_out(fleet: Fleet) -> None:
    [sender] = fleet.join("north", 1)
    fleet.report()
    sketches = sketches_make(fleet.profile, {"contrast": np.zeros(400)})
    batch_store(sender, window_make(version="9.9.9", sketches=sketches))
    short = [type(sketches[0])(feature="contrast", counts=[400], sums=[0.0])]
    batch_store(sender, window_make(at_ms=now_ms() - 5_000, sketches=short))
    evaluation = fleet.evaluate()
    assert {(cell.version, cell.row_count) for cell in evaluation.cells} == {("1.0.0", 500)}


def test_each_organization_is_evaluated_when_it_is_due_and_a_failing_one_does_not_stop_the_rest(
    fleet: Fleet, other_organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Fleet(other_organization)
    for one in (fleet, other):
        one.join("north", 1)
        one.report()
    assert drift_evaluate_due() == 2
    assert drift_evaluate_due() == 0
    assert set(DriftScore.objects.values_list("organization_id", flat=True)) == {
        fleet.organization.pk,
        other_organization.pk,
    }


def test_of_old_evaluations_one_per_window_is_kept(fleet: Fleet) -> None:
    fleet.join("north", 1)
    fleet.report()
    started = now()
    hour = started.replace(minute=0, second=0, microsecond=0)
    for minutes in (0, 20, 40, 60, 80):
        drift_evaluate(organization_id=fleet.organization.pk, at=started + timedelta(seconds=1))
        DriftScore.objects.filter(window_end=started + timedelta(seconds=1)).update(
            window_end=hour + timedelta(minutes=minutes)
        )
    assert drift_scores_thin() == 0
    with advanced(timedelta(days=3)):
        drift_scores_thin()
        ends = set(DriftScore.objects.values_list("window_end", flat=True))
    assert ends == {hour, hour + timedelta(hours=1)}
    with advanced(timedelta(days=60)):
        drift_scores_thin()
    assert not DriftScore.objects.exists()


class TestAlerts:
    @pytest.fixture
    def alerting(self, fleet: Fleet) -> Fleet:
        fleet.join("north", 4)
        fleet.join("south", 4)
        fleet.report(shifted="south")
        fleet.evaluate()
        return fleet

    def _settle(self, fleet: Fleet, evaluations: int) -> None:
        """Enough time for the window to hold only undisturbed rows, then some evaluations."""
        with advanced(timedelta(hours=2)):
            fleet.report()
            for _ in range(evaluations):
                fleet.evaluate()

    def test_one_drifting_region_is_one_alert_in_plain_words(self, alerting: Fleet) -> None:
        [alert] = Alert.objects.all()
        assert alert.title == "Contrast drifts in south"
        assert "digits 1.0.0: contrast has moved from its reference" in alert.text
        assert "on 4 devices in south" in alert.text
        assert alert.subject == {
            "model": "digits",
            "version": "1.0.0",
            "version_id": str(alerting.version.public_id),
            "region": "south",
            "hardware_profile": None,
            "feature": "contrast",
        }
        assert alert.data["device_count"] == 4
        assert alert.data["threshold"] == 0.25

    def test_it_stays_one_alert_while_it_lasts_and_names_what_joins_it(self, alerting: Fleet) -> None:
        alerting.report(shifted="south", feature="brightness", by=1.3)
        alerting.evaluate()
        [alert] = Alert.objects.all()
        assert alert.text.endswith("Also: brightness.")
        assert len(alert.data["history"]) == 2

    def test_it_is_resolved_after_three_calm_evaluations_and_not_before(self, alerting: Fleet) -> None:
        self._settle(alerting, RESOLVE_AFTER - 1)
        assert Alert.objects.get().state == "open"
        self._settle(alerting, 1)
        alert = Alert.objects.get()
        assert alert.state == "resolved"
        assert alert.resolved_at is not None

    def test_silence_of_the_devices_resolves_nothing(self, alerting: Fleet) -> None:
        with advanced(timedelta(hours=2)):
            for _ in range(RESOLVE_AFTER + 1):
                assert drift_evaluate(organization_id=alerting.organization.pk) is None
        assert Alert.objects.get().state == "open"

    def test_devices_that_report_another_version_resolve_it(self, alerting: Fleet) -> None:
        version = version_make(alerting.organization, "1.1.0")
        profile = profile_make(version, {"contrast": alerting.random.normal(0, 1, 1_000)})
        with advanced(timedelta(hours=2)):
            for sender in alerting.senders["south"]:
                sketches = sketches_make(profile, {"contrast": alerting.random.normal(0, 1, 500)})
                batch_store(sender, window_make(version="1.1.0", sketches=sketches))
            for _ in range(RESOLVE_AFTER):
                alerting.evaluate()
        alert = Alert.objects.get()
        assert (alert.state, alert.data["resolved_because"]) == (
            "resolved",
            "The devices there report another version now.",
        )

    def test_resolved_by_a_person_it_opens_again_only_after_it_was_away(
        self, alerting: Fleet, operator: Person
    ) -> None:
        alert = Alert.objects.get()
        answer = operator.post(f"/api/v1/alerts/{alert.public_id}/resolve/", {"reason": "known"})
        assert (answer.status_code, answer.json()["state"]) == (200, "resolved")
        alerting.evaluate()
        assert Alert.objects.count() == 1
        self._settle(alerting, 1)
        with advanced(timedelta(hours=4)):
            alerting.report(shifted="south")
            alerting.evaluate()
        assert list(Alert.objects.order_by("pk").values_list("state", flat=True)) == ["resolved", "open"]

    def test_a_rule_that_is_turned_off_opens_nothing_and_closes_what_is_open(
        self, alerting: Fleet, operator: Person
    ) -> None:
        rule = AlertRule.objects.get()
        answer = operator.patch(f"/api/v1/alert-rules/{rule.public_id}/", {"is_enabled": False})
        assert (answer.status_code, answer.json()["is_enabled"]) == (200, False)
        for _ in range(RESOLVE_AFTER):
            alerting.evaluate()
        assert Alert.objects.get().state == "resolved"

    def test_a_higher_threshold_lets_the_alert_close(self, alerting: Fleet, operator: Person) -> None:
        rule = AlertRule.objects.get()
        assert operator.patch(f"/api/v1/alert-rules/{rule.public_id}/", {"threshold": 0}).status_code == 400
        assert operator.patch(f"/api/v1/alert-rules/{rule.public_id}/", {"threshold": 9.5}).status_code == 200
        for _ in range(RESOLVE_AFTER):
            alerting.evaluate()
        assert Alert.objects.get().state == "resolved"

    def test_people_acknowledge_silence_and_resolve_and_the_audit_log_says_who(
        self, alerting: Fleet, operator: Person, viewer: Person
    ) -> None:
        alert = Alert.objects.get()
        base = f"/api/v1/alerts/{alert.public_id}"
        assert viewer.post(f"{base}/acknowledge/").status_code == 403
        first = operator.post(f"{base}/acknowledge/").json()
        assert first["acknowledged_at"] is not None
        assert operator.post(f"{base}/acknowledge/").json()["acknowledged_at"] == first["acknowledged_at"]
        assert operator.post(f"{base}/silence/", {"until": "2020-01-01T00:00:00Z"}).status_code == 400
        until = (now() + timedelta(hours=1)).isoformat()
        assert operator.post(f"{base}/silence/", {"until": until}).json()["state"] == "open"
        assert operator.post(f"{base}/resolve/").json()["state"] == "resolved"
        refused = operator.post(f"{base}/acknowledge/")
        assert (refused.status_code, refused.json()["code"]) == (409, "telemetry.alert_resolved")
        actions = AuditEntry.objects.filter(object_kind="alert").order_by("number").values_list("action", flat=True)
        assert list(actions) == ["alert.acknowledge", "alert.silence", "alert.resolve"]

    def test_lists_are_filtered_and_another_organization_sees_none(
        self, alerting: Fleet, viewer: Person, outsider: Person
    ) -> None:
        alert = Alert.objects.get()
        assert [one["id"] for one in viewer.get("/api/v1/alerts/?state=open").json()["results"]] == [
            str(alert.public_id)
        ]
        assert viewer.get("/api/v1/alerts/?state=resolved").json()["results"] == []
        assert viewer.get("/api/v1/alerts/?severity=warning").json()["results"] == []
        assert viewer.get("/api/v1/alerts/?state=odd").status_code == 400
        assert outsider.get("/api/v1/alerts/").json()["results"] == []
        assert outsider.get(f"/api/v1/alerts/{alert.public_id}/").status_code == 404
        assert outsider.post(f"/api/v1/alerts/{alert.public_id}/resolve/").status_code == 404
        rule = AlertRule.objects.get(organization=alerting.organization)
        assert outsider.patch(f"/api/v1/alert-rules/{rule.public_id}/", {"threshold": 1}).status_code == 404


class TestScreen:
    def test_the_matrix_of_a_fleet_that_was_never_judged_is_empty(self, viewer: Person) -> None:
        answer = viewer.get("/api/v1/drift/").json()
        assert (answer["model"], answer["cells"], answer["versions"]) == (None, [], [])
        assert viewer.get("/api/v1/drift/?model=digits&version=1.0.0").status_code == 404

    def test_the_matrix_shows_the_version_with_the_worst_cell(self, fleet: Fleet, viewer: Person) -> None:
        fleet.join("north", 2)
        fleet.join("south", 3)
        quiet = version_make(fleet.organization, "0.9.0")
        profile = profile_make(quiet, {"contrast": fleet.random.normal(0, 1, 1_000)})
        [sender] = fleet.join("west", 1)
        fleet.report(shifted="south")
        values = {"contrast": fleet.random.normal(0, 1, 500)}
        batch_store(sender, window_make(version="0.9.0", sketches=sketches_make(profile, values)))
        fleet.evaluate()
        answer = viewer.get("/api/v1/drift/").json()
        assert (answer["model"], answer["version"], answer["false_discovery_ratio"]) == ("digits", "1.0.0", 0.05)
        assert [(one["version"], one["worst"]) for one in answer["versions"]] == [
            ("1.0.0", "alert"),
            ("0.9.0", "quiet"),
        ]
        assert {one["name"] for one in answer["features"]} == {"brightness", "contrast"}
        assert {(one["region"], one["device_count"]) for one in answer["segments"]} == {
            ("north", 2),
            ("south", 3),
            ("west", 1),
        }
        [worst] = [one for one in answer["cells"] if one["verdict"] == "alert"]
        assert (worst["region"], worst["hardware_profile"], worst["feature"]) == ("south", None, "contrast")
        assert worst["psi_excess"] > 0.25
        assert worst["mean_shift"] == pytest.approx(1.5, abs=0.3)
        other = viewer.get("/api/v1/drift/?model=digits&version=0.9.0").json()
        assert {one["verdict"] for one in other["cells"]} == {"quiet"}

    def test_a_cell_shows_history_distribution_devices_and_marks(self, fleet: Fleet, viewer: Person) -> None:
        senders = fleet.join("south", 2)
        fleet.report()
        fleet.evaluate()
        device_event_append(
            device_id=senders[0].device.pk,
            kind="deployment.proven",
            reference_kind="rollout",
            reference_id=fleet.version.public_id,
        )
        fleet.report(shifted="south", rows=2_000)
        fleet.evaluate()
        query = f"version_id={fleet.version.public_id}&region=south&feature=contrast"
        cell: dict[str, Any] = viewer.get(f"/api/v1/drift/cell/?{query}").json()
        assert [one["verdict"] for one in cell["history"]] == ["quiet", "alert"]
        assert len(cell["distribution"]["edges"]) == 61
        assert sum(cell["distribution"]["reference"]) == pytest.approx(1)
        assert sum(cell["distribution"]["current"]) == pytest.approx(1)
        assert {one["name"] for one in cell["devices"]} == {sender.device.name for sender in senders}
        assert cell["devices"][0]["psi_excess"] >= cell["devices"][1]["psi_excess"] > 0.25
        assert cell["devices"][0]["row_count"] == 2_500
        assert [mark["kind"] for mark in cell["marks"]] == ["rollout", "alert"]
        assert cell["marks"][0]["text"] == "Proven on 1 device"

    def test_a_cell_that_is_not_there_or_anothers_is_404(self, fleet: Fleet, viewer: Person, outsider: Person) -> None:
        fleet.join("south", 1)
        fleet.report()
        fleet.evaluate()
        query = f"version_id={fleet.version.public_id}&region=south&feature="
        assert viewer.get(f"/api/v1/drift/cell/?{query}contrast").status_code == 200
        assert viewer.get(f"/api/v1/drift/cell/?{query}nothing").status_code == 404
        assert viewer.get("/api/v1/drift/cell/?version_id=7&feature=contrast").status_code == 400
        assert outsider.get(f"/api/v1/drift/cell/?{query}contrast").status_code == 404
        assert outsider.get("/api/v1/drift/").json()["cells"] == []
