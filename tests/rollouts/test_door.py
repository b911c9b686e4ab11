"""The update door's resources one by one: codes, limits and traps of DDI."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test.utils import override_settings

from common.clock import now
from fleet.models import Device
from flotilla_protocol.codec import decode
from flotilla_protocol.messages import AgentConfiguration
from governance.models import Organization
from models_registry.errors import StoreUnavailableError
from models_registry.models import ModelVersion
from models_registry.storage import local
from rollouts import hot
from rollouts.models import Action, ActionFeedback
from rollouts.services.feedback import FEEDBACK_MAX
from rollouts.services.reconcile import rollouts_reconcile
from tests.factories.fleets import version_make
from tests.factories.people import Person
from tests.rollouts.door import Door
from tests.rollouts.protocol_client import Agent, wait_for
from tests.rollouts.test_flow import start


@pytest.fixture
def agent(door: Door, organization: Organization) -> Agent:
    return Agent(door, organization)


@pytest.fixture
def version(organization: Organization) -> ModelVersion:
    return version_make(organization, is_stored=True)


@pytest.fixture
def number(agent: Agent, operator: Person, version: ModelVersion) -> int:
    start(operator, version, strategy="all_at_once", soak_s=7, shadow_every=10)
    rollouts_reconcile(now=now())
    return agent.wait_offered()


# --- Root -----------------------------------------------------------------------------------------
def test_the_root_says_when_to_poll_again_and_where_to_go(agent: Agent) -> None:
    body = agent.poll().json()
    assert body["config"]["polling"]["sleep"] == "00:00:30"
    assert body["_links"]["agent"]["href"] == f"{settings.DEVICE_URL}{agent.agent_base}"


def test_hrefs_come_from_the_device_url_whatever_the_host_says(agent: Agent, number: int) -> None:
    response = agent.get(agent.base, Host="127.0.0.1:9")
    assert all(link["href"].startswith(settings.DEVICE_URL) for link in response.json()["_links"].values())


def test_a_device_without_a_token_or_with_anothers_is_refused(
    door: Door, agent: Agent, organization: Organization
) -> None:
    assert door.get(agent.base).status_code == 401
    assert door.get(agent.base).content == b""
    other = Agent(door, organization)
    assert door.get(other.base, headers=agent.headers).status_code == 401
    assert door.get(f"/elsewhere/controller/v1/{agent.cid}", headers=agent.headers).status_code == 401
    assert (
        door.get(agent.base.replace(organization.slug, organization.slug.upper()), headers=agent.headers).status_code
        == 200
    )


def test_a_quarantined_device_is_told_nothing(agent: Agent, number: int) -> None:
    Device.objects.filter(pk=agent.device.pk).update(state="quarantined", revision=99)
    assert wait_for(lambda: agent.links() == {}), "the sweep finds what no notice said"


def test_a_lost_notice_is_found_by_the_sweep(agent: Agent) -> None:
    assert "configData" not in agent.links()
    Device.objects.filter(pk=agent.device.pk).update(attributes_wanted=True, revision=50)
    assert wait_for(lambda: "configData" in agent.links())


def test_a_poll_counts_as_contact(agent: Agent) -> None:
    Device.objects.filter(pk=agent.device.pk).update(last_seen_at=now() - timedelta(hours=1))
    agent.poll()

    def seen() -> bool:
        at = Device.objects.values_list("last_seen_at", flat=True).get(pk=agent.device.pk)
        return at is not None and at > now() - timedelta(minutes=1)

    assert wait_for(seen)


# --- Deployment -----------------------------------------------------------------------------------
def test_a_deployment_names_files_hashes_and_targets(agent: Agent, number: int, version: ModelVersion) -> None:
    deployment = agent.deployment(number)
    assert (deployment["download"], deployment["update"]) == ("forced", "forced")
    chunk = deployment["chunks"][0]
    assert (chunk["part"], chunk["name"], chunk["version"]) == ("model", "digits", "1.0.0")
    metadata = {entry["key"]: entry["value"] for entry in chunk["metadata"]}
    artifact = version.variants.get().artifact
    assert metadata == {
        "flotilla.kind": "install",
        "flotilla.digest": artifact.sha256,
        "flotilla.soak_s": "7",
        "flotilla.shadow_every": "0",  # nothing ran before, so there is nothing to compare with
        "flotilla.target.model": "digits/1.0.0/fp32/model.onnx",
        "flotilla.target.manifest": "digits/1.0.0/fp32/manifest.json",
    }
    files = {file["filename"]: file for file in chunk["artifacts"]}
    assert set(files) == {"model.onnx", "manifest.json"}
    assert files["model.onnx"]["size"] == artifact.size_bytes
    assert files["model.onnx"]["hashes"] == {"sha1": artifact.sha1, "sha256": artifact.sha256}
    assert Action.objects.get(number=number, device=agent.device).retrieved_at is not None


def test_rauc_gets_a_single_file(agent: Agent, number: int) -> None:
    response = agent.get(f"{agent.base}/deploymentBase/{number}", **{"User-Agent": "rauc-hawkbit-c-agent/1.0"})
    assert [file["filename"] for file in response.json()["deployment"]["chunks"][0]["artifacts"]] == ["model.onnx"]


def test_another_devices_action_and_nonsense_are_not_found(
    door: Door, agent: Agent, number: int, organization: Organization
) -> None:
    other = Agent(door, organization)
    assert other.get(f"{other.base}/deploymentBase/{number + 5}").status_code == 404
    for bad in ("0", "-1", "x", "99999999999999", "2147483648", "%00"):
        response = agent.get(f"{agent.base}/deploymentBase/{bad}")
        assert response.status_code == 404
        assert {"exceptionClass", "errorCode", "message"} <= set(response.json())
    assert agent.get(f"{agent.base}/installedBase/{number}").status_code == 404
    assert agent.get(f"{agent.base}/cancelAction/{number}").status_code == 404


def test_an_installed_action_is_shown_with_its_history(agent: Agent, number: int) -> None:
    agent.install(number)
    assert wait_for(lambda: "installedBase" in agent.links())
    body = agent.get(f"{agent.base}/installedBase/{number}?actionHistory=2").json()
    assert body["actionHistory"]["messages"] == ["switched", "installing"]
    assert agent.get(f"{agent.base}/installedBase/{number}?actionHistory=x").status_code == 400


def test_what_is_not_acceptable_or_not_json_is_said(agent: Agent, number: int) -> None:
    path = f"{agent.base}/deploymentBase/{number}"
    assert agent.get(path, Accept="text/html").status_code == 406
    assert agent.get(path, Accept="application/hal+json").status_code == 200
    xml = {**agent.headers, "Content-Type": "text/xml"}
    assert agent.door.post(f"{path}/feedback", content=b"<x/>", headers=xml).status_code == 415
    assert agent.door.request("DELETE", path, headers=agent.headers).status_code == 405


# --- Feedback -------------------------------------------------------------------------------------
BAD_FEEDBACK = [
    b"",
    b"{",
    b"[]",
    b'{"status": {}}',
    b'{"status": {"execution": "closed"}}',
    b'{"status": {"execution": "closed", "result": {}}}',
    b'{"status": {"execution": "exploded", "result": {"finished": "none"}}}',
    b'{"status": {"execution": "closed", "result": {"finished": "maybe"}}}',
    b'{"status": {"execution": 5, "result": {"finished": "none"}}}',
    b"\xff\xfe",
]


def test_feedback_that_cannot_be_understood_is_400(agent: Agent, number: int) -> None:
    headers = {**agent.headers, "Content-Type": "application/json"}
    for body in BAD_FEEDBACK:
        response = agent.door.post(f"{agent.base}/deploymentBase/{number}/feedback", content=body, headers=headers)
        assert response.status_code == 400, body


def test_feedback_is_lenient_about_what_clients_add(agent: Agent, number: int) -> None:
    body = {
        "id": number,
        "time": "20261120T120000",
        "status": {
            "execution": "proceeding",
            "code": 200,
            "result": {"finished": "none", "progress": {"percentage": 5}},
            "details": ["x" * 9_000, 7, "\x00"] + ["line"] * 60,
        },
    }
    url = f"{agent.base}/deploymentBase/{number}/feedback"
    response = agent.door.post(url, json=body, headers=agent.headers)
    assert (response.status_code, response.content) == (200, b"")
    kept = ActionFeedback.objects.get().details
    assert len(kept) == 50
    assert len(kept[0]) == 512


def test_after_a_thousand_messages_only_the_end_is_taken(agent: Agent, number: int) -> None:
    action = Action.objects.get(device=agent.device)
    ActionFeedback.objects.bulk_create(
        ActionFeedback(action=action, at=now(), execution="proceeding", finished="none") for _ in range(FEEDBACK_MAX)
    )
    assert agent.feedback(number, "proceeding").status_code == 429
    assert agent.feedback(number, "closed", "success").status_code == 200
    assert agent.feedback(number, "closed", "success").status_code == 410


def test_feedback_on_a_cancel_nobody_asked_for_is_405(agent: Agent, number: int) -> None:
    assert agent.feedback(number, "closed", "success", cancel=True).status_code == 405


def test_too_many_attributes_are_429(agent: Agent) -> None:
    assert agent.attributes(**{f"a{n}": "x" for n in range(101)}).status_code == 429
    assert agent.attributes(name="x" * 129).status_code == 400
    url = f"{agent.base}/configData"
    assert agent.door.put(url, json={"data": {}, "mode": "merge"}, headers=agent.headers).status_code == 400
    assert agent.door.put(url, json={"data": {"a": "b"}, "mode": "guess"}, headers=agent.headers).status_code == 400
    assert agent.door.put(url, json={"data": {"a": 5}}, headers=agent.headers).status_code == 200
    assert Device.objects.get(pk=agent.device.pk).attributes == {"a": "5"}


# --- Files ----------------------------------------------------------------------------------------
@pytest.fixture
def url(agent: Agent, number: int) -> str:
    chunk = agent.deployment(number)["chunks"][0]
    href: str = chunk["artifacts"][0]["_links"]["download"]["href"]
    return href.removeprefix(settings.DEVICE_URL)


@pytest.fixture
def body(version: ModelVersion) -> bytes:
    return b"digits 1.0.0 fp32" * 400


def test_a_file_is_served_whole_with_its_hashes(agent: Agent, url: str, body: bytes) -> None:
    response = agent.get(url)
    assert response.status_code == 200
    assert response.content == body
    assert response.headers["etag"] == f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-length"] == str(len(body))
    assert response.headers["x-content-type-options"] == "nosniff"


RANGES = [
    ("bytes=0-3", 206, 0, 4),
    ("bytes=100-", 206, 100, None),
    ("bytes=-7", 206, -7, None),
    ("bytes=6799-99999", 206, 6799, None),
    ("bytes=0-999999", 206, 0, None),
    ("bytes=0-3,5-9", 200, 0, None),
    ("bytes=x-y", 200, 0, None),
    ("chunks=0-3", 200, 0, None),
    ("bytes=-", 200, 0, None),
    ("bytes=6800-", 416, 0, 0),
    ("bytes=9-3", 416, 0, 0),
    ("bytes=-0", 416, 0, 0),
]


def test_ranges(agent: Agent, url: str, body: bytes) -> None:
    for header, status, first_byte, stop in RANGES:
        response = agent.get(url, Range=header)
        assert response.status_code == status, header
        if status == 416:
            assert response.headers["content-range"] == f"bytes */{len(body)}"
            continue
        assert response.content == body[first_byte:stop], header
        if status == 206:
            first = first_byte if first_byte >= 0 else len(body) + first_byte
            last = first + len(response.content) - 1
            assert response.headers["content-range"] == f"bytes {first}-{last}/{len(body)}"


def test_conditions(agent: Agent, url: str, body: bytes) -> None:
    etag = agent.get(url).headers["etag"]
    modified = agent.get(url).headers["last-modified"]
    assert agent.get(url, **{"If-None-Match": etag}).status_code == 304
    assert agent.get(url, **{"If-Match": '"other"'}).status_code == 412
    assert agent.get(url, **{"If-Match": etag}).status_code == 200
    assert agent.get(url, **{"If-Range": etag, "Range": "bytes=5-"}).status_code == 206
    assert agent.get(url, **{"If-Range": modified, "Range": "bytes=5-"}).status_code == 206
    whole = agent.get(url, **{"If-Range": '"other"', "Range": "bytes=5-"})
    assert (whole.status_code, whole.content) == (200, body)


def test_a_file_is_only_for_devices_that_were_asked_to_run_it(
    door: Door, agent: Agent, url: str, organization: Organization
) -> None:
    stranger = Agent(door, organization)
    assert stranger.get(url.replace(agent.cid, stranger.cid)).status_code == 404
    assert door.get(url).status_code == 401
    assert agent.get(url.replace("model.onnx", "secrets.txt")).status_code == 404
    assert agent.get(url + ".MD5SUM").status_code == 404, "its MD5 is not known"
    head, _, tail = url.partition("/softwaremodules/")
    assert agent.get(f"{head}/softwaremodules/nonsense/artifacts/{tail.rsplit('/', 1)[1]}").status_code == 404


def test_the_md5_is_given_where_it_is_known(agent: Agent, url: str, version: ModelVersion) -> None:
    artifact = version.variants.get().artifact
    artifact.md5 = "d" * 32
    artifact.save()
    response = agent.get(url + ".MD5SUM")
    assert response.text == f"{'d' * 32}  model.onnx"
    listing = agent.get(url.rsplit("/", 1)[0]).json()
    assert {row["filename"] for row in listing} == {"model.onnx", "manifest.json"}


def test_while_the_store_is_down_downloads_are_503_and_not_offered(
    agent: Agent, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("The store is down.")

    monkeypatch.setattr(local.LocalStore, "open_range", fail)
    response = agent.get(url)
    assert response.status_code == 503
    assert "retry-after" in response.headers
    assert agent.offered() is None
    monkeypatch.undo()
    assert agent.get(url).status_code == 200
    assert agent.offered() is not None


def test_removed_bytes_are_410(agent: Agent, url: str, version: ModelVersion) -> None:
    # Another name, not another's bytes: tests that run beside this one share the store.
    replica = version.variants.get().artifact.replicas.get()
    replica.key += ".removed"
    replica.save()
    assert agent.get(url).status_code == 410


def test_a_store_that_gives_links_is_redirected_to(agent: Agent, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.LocalStore, "presign", lambda *_args, **_values: "https://store.example/x?signature=1")
    response = agent.get(url, Range="bytes=5-")
    assert response.status_code == 302
    assert response.headers["location"] == "https://store.example/x?signature=1"
    assert response.headers["cache-control"] == "no-store"


# --- Our agent ------------------------------------------------------------------------------------
def test_the_agent_is_told_its_links_and_intervals(agent: Agent) -> None:
    configuration = decode(agent.get(agent.agent_base).content, AgentConfiguration)
    assert configuration.links.reports == f"{settings.DEVICE_URL}{agent.agent_base}/reports"
    assert configuration.links.metadata.endswith("/metadata/")
    assert abs(configuration.server_time_ms - now().timestamp() * 1000) < 5_000
    with override_settings(DEVICE_WINDOW_INTERVAL_S=3):
        assert decode(agent.get(agent.agent_base).content, AgentConfiguration).window_interval_s == 3


def test_a_report_that_is_none_is_refused(agent: Agent) -> None:
    headers = {**agent.headers, "Content-Type": "application/json"}
    for body in (b"", b"{}", b'{"report": ""}', b'{"report": "a.b"}', b'{"report": 5}'):
        response = agent.door.post(f"{agent.agent_base}/reports", content=body, headers=headers)
        assert response.status_code in {400, 403}, body


# --- Statements -----------------------------------------------------------------------------------
def test_every_hot_statement_runs_on_the_migrated_schema(agent: Agent, number: int, version: ModelVersion) -> None:
    module = version.variants.get().public_id
    loop_rows = asyncio.run_coroutine_threadsafe(_hot(agent, module), agent.door.loop).result(20)
    rows, foreign, revisions, released, found = loop_rows
    assert (rows[0].action, rows[0].is_accepted, rows[0].can_sign) == (number, True, True)
    assert foreign == []
    assert revisions[agent.device.pk] >= rows[0].revision
    assert list(released.values()) == [1]
    assert found is not None
    assert len(found.replicas) == 1


async def _hot(agent: Agent, module: Any) -> tuple[Any, ...]:
    organization_id, device_id = agent.caller.organization_id, agent.device.pk
    rows = await hot.poll_rows({device_id: organization_id})
    foreign = await hot.poll_rows({device_id: organization_id + 1})
    found = await hot.artifact_row(
        organization_id=organization_id, device_id=device_id, module=module, is_manifest=False
    )
    released = await hot.released_waves(list(rows[0].offered))
    return rows, foreign, await hot.revisions([device_id]), released, found
