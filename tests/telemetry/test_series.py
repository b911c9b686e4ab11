"""Series of a device for the screen, series of many for gates, figures of the fleet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from common.clock import now
from fleet.selectors import latest_values
from governance.models import Organization
from telemetry import selectors
from telemetry.errors import InvalidSpanError
from telemetry.models import DeviceLatest
from tests.factories.people import Person
from tests.factories.telemetry import DIGEST, Sender, batch_store, health_make, now_ms, sender_make, window_make

pytestmark = [pytest.mark.sql, pytest.mark.django_db]


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


class TestHealth:
    def test_every_sample_is_shown_while_they_fit(self, sender: Sender, viewer: Person) -> None:
        at = now_ms()
        health = health_make(5, at_ms=at, cpu_ratio=[0.0, 0.25, 0.5, 0.75, 1.0], power_w=[1, 2, None, 4, 5])
        batch_store(sender, health=health)
        answer = viewer.get(
            f"/api/v1/devices/{sender.device.public_id}/health/", {"since": _at(at - 60_000).isoformat()}
        ).json()
        assert answer["cpu_ratio"] == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert answer["power_w"] == [1, 2, None, 4, 5]
        assert answer["gpu_ratio"] == [None] * 5
        assert len(answer["ts"]) == 5
        assert answer["ts"] == sorted(answer["ts"])

    def test_many_samples_become_means(self, sender: Sender, viewer: Person) -> None:
        at = now_ms()
        batch_store(sender, health=health_make(400, at_ms=at, cpu_ratio=[0.25, 0.75] * 200))
        since, until = _at(at - 400_000), _at(at + 1)
        answer = viewer.get(
            f"/api/v1/devices/{sender.device.public_id}/health/",
            {"since": since.isoformat(), "until": until.isoformat(), "points": 10},
        ).json()
        assert 10 <= len(answer["ts"]) <= 11
        assert np.allclose(answer["cpu_ratio"], 0.5, atol=0.02)

    def test_a_gap_stays_a_gap(self, sender: Sender, viewer: Person) -> None:
        at = now_ms()
        for end in (at - 1_000_000, at):
            batch_store(sender, health=health_make(10, at_ms=end, cpu_ratio=[0.5] * 10))
        answer = viewer.get(f"/api/v1/devices/{sender.device.public_id}/health/?points=2000").json()
        values = answer["cpu_ratio"]
        assert values.count(None) == 1
        assert 0 < values.index(None) < len(values) - 1

    def test_odd_spans_are_refused_and_another_organizations_device_is_404(
        self, sender: Sender, viewer: Person, outsider: Person
    ) -> None:
        base = f"/api/v1/devices/{sender.device.public_id}/health/"
        for query in ("points=0", "points=2001", "points=many", "since=yesterday", "since=2030-01-01T00:00:00Z"):
            assert viewer.get(f"{base}?{query}").status_code == 400, query
        assert viewer.get(base).json()["ts"] == []
        assert outsider.get(base).status_code == 404
        assert outsider.get(f"/api/v1/devices/{sender.device.public_id}/windows/").status_code == 404


def test_merged_windows_weigh_by_their_inferences(sender: Sender, viewer: Person) -> None:
    at = now_ms()
    batch_store(
        sender,
        window_make(at_ms=at - 1_000, inference_count=100, latency_ms_p95=10.0, version="1.0.0"),
        window_make(at_ms=at - 500, inference_count=300, latency_ms_p95=20.0, error_count=3, version="1.1.0"),
        window_make(at_ms=at - 400, inference_count=50, latency_ms_p95=None, version="1.1.0"),
    )
    since, until = _at(at - 10_000), _at(at)
    answer = viewer.get(
        f"/api/v1/devices/{sender.device.public_id}/windows/",
        {"since": since.isoformat(), "until": until.isoformat(), "points": 1},
    ).json()
    assert answer["latency_ms_p95"] == [pytest.approx(17.5)]
    assert (answer["inference_count"], answer["error_count"], answer["window_s"]) == ([450], [5], [30.0])
    assert answer["version"] == ["1.1.0"]


def test_windows_for_gates_are_columns_of_the_organizations_devices_only(
    organization: Organization, other_organization: Organization
) -> None:
    mine, theirs = sender_make(organization), sender_make(other_organization)
    at = now_ms()
    for one in (mine, theirs):
        batch_store(
            one,
            window_make(at_ms=at - 2_000, shadow_count=10, shadow_disagreement_count=2),
            window_make(at_ms=at - 60_000, latency_ms_p95=None),
        )
    windows = selectors.inference_windows(
        organization_id=organization.pk,
        device_ids=[mine.device.pk, theirs.device.pk],
        since=now() - timedelta(minutes=5),
        until=now(),
    )
    assert len(windows) == 2
    assert set(windows.device_id.tolist()) == {mine.device.pk}
    assert windows.ts_s.tolist() == [(at - 60_000) / 1000, (at - 2_000) / 1000]
    assert set(windows.digest.tolist()) == {DIGEST}
    assert windows.shadow_disagreement_count.tolist() == [0, 2]
    assert np.isnan(windows.latency_ms_p95).tolist() == [True, False]
    none = selectors.inference_windows(
        organization_id=organization.pk, device_ids=[], since=now() - timedelta(minutes=5), until=now()
    )
    assert len(none) == 0
    assert none.version.tolist() == []


def test_health_for_gates_has_the_columns_asked_for(sender: Sender, organization: Organization) -> None:
    batch_store(sender, health=health_make(2, temperature_c=[40.0, None]))
    samples = selectors.health_samples(
        organization_id=organization.pk,
        device_ids=[sender.device.pk],
        since=now() - timedelta(minutes=1),
        until=now() + timedelta(seconds=1),
        columns=["temperature_c"],
    )
    assert len(samples) == 2
    assert samples.columns["temperature_c"][0] == 40.0
    assert np.isnan(samples.columns["temperature_c"][1])
    with pytest.raises(InvalidSpanError):
        selectors.health_samples(
            organization_id=organization.pk, device_ids=[], since=now(), until=now(), columns=["1; drop table x"]
        )


class TestFleet:
    def test_figures_add_up_by_region_and_site(
        self, organization: Organization, other_organization: Organization, viewer: Person
    ) -> None:
        at = now_ms() - 1_000
        for region, count in (("north", 100), ("north", 300), ("south", 200)):
            one = sender_make(organization, region=region)
            batch_store(one, window_make(at_ms=at, inference_count=count, error_count=count // 100, latency_ms_p95=10))
        batch_store(sender_make(other_organization), window_make(at_ms=at))
        figures = selectors.inference_figures(caller=viewer.caller, since=now() - timedelta(minutes=1), until=now())
        assert figures.total.device_count == 3
        assert figures.total.inference_rate_s == pytest.approx(60.0)
        assert figures.total.error_ratio == pytest.approx(0.01)
        assert figures.total.latency_ms_p95 == pytest.approx(10.0)
        assert figures.by_region["north"].inference_rate_s == pytest.approx(40.0)
        assert figures.by_site["south", "south hall"].device_count == 1

    def test_a_fleet_that_reports_nothing_has_no_figures(self, viewer: Person) -> None:
        figures = selectors.inference_figures(caller=viewer.caller, since=now() - timedelta(minutes=1), until=now())
        assert (figures.total.device_count, figures.total.inference_rate_s) == (0, None)

    def test_history_has_equal_steps_and_nulls_where_nothing_was_reported(self, sender: Sender, viewer: Person) -> None:
        until = now()
        end_ms = int(until.timestamp() * 1000)
        batch_store(sender, window_make(at_ms=end_ms - 5_000), window_make(at_ms=end_ms - 35_000))
        history = selectors.inference_history(
            caller=viewer.caller, since=until - timedelta(seconds=40), until=until, buckets=4
        )
        assert history["inference_rate_s"] == [10.0, None, None, 10.0]
        assert len(history["ts"]) == 4


def test_the_fleet_gets_newest_values_from_telemetry(sender: Sender) -> None:
    DeviceLatest.objects.create(device=sender.device, health={"cpu_ratio": 0.5}, health_at=now())
    values = latest_values([sender.device.pk, 0])
    assert set(values) == {sender.device.pk}
    assert values[sender.device.pk].health == {"cpu_ratio": 0.5}
    assert values[sender.device.pk].window is None
