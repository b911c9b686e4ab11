"""Prometheus' and Grafana's files: they ask for metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from config.metrics import FleetCollector
from tests.docker.dockerfile import ROOT

FOLDER = ROOT / "docker"
# Prometheus' own, and RabbitMQ's (its plug-in rabbitmq_prometheus).
FOREIGN = {"up", "rabbitmq_queue_messages_ready", "rabbitmq_queue_messages_unacked"}
_METRIC = re.compile(r"\b(up|(?:flotilla|process|rabbitmq)_[a-z_]+)\b")


def _expressions() -> list[str]:
    rules = yaml.safe_load((FOLDER / "prometheus" / "alerts.yml").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "flotilla.json").read_text())
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found


@pytest.mark.django_db
def test_every_expression_asks_for_metrics_that_exist() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    known = {sample.name for family in registry.collect() for sample in family.samples}
    known |= {family.name for family in FleetCollector().collect()} | FOREIGN
    asked = {name for expression in _expressions() for name in _METRIC.findall(expression)}
    assert "flotilla_devices" in asked
    assert asked <= known


def test_the_data_source_is_the_one_the_dashboard_uses() -> None:
    sources: dict[str, Any] = yaml.safe_load(
        (FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )
    dashboard = (FOLDER / "grafana" / "dashboards" / "flotilla.json").read_text()
    assert {entry["uid"] for entry in sources["datasources"]} == set(re.findall(r'"uid": "(prometheus)"', dashboard))


def test_every_alert_says_what_is_wrong_and_how_bad() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus" / "alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
