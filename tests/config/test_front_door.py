"""The front door: what every request meets before any app does."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

import httpx
import pytest

from tests.factories.people import Person
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, trust_env=False, timeout=30)


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/devices/", "/acme/controller/v1/cam-1", "/acme/agent/v1/cam-1", "/api/v1/uploads/", "/readyz"],
)
def test_a_forged_host_is_refused_before_anything_looks_at_the_request(server: Server, path: str) -> None:
    answer = get(server, path, host="evil.example")

    assert answer.status_code == 400
    assert answer.json()["code"] == "unknown_host"
    assert "evil.example" not in answer.text


def test_a_missing_host_is_refused(server: Server) -> None:
    address = urlsplit(server.url)
    assert address.hostname
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.putrequest("GET", "/api/v1/devices/", skip_host=True)
    connection.endheaders()

    assert connection.getresponse().status == 400
    connection.close()


def test_liveness_needs_no_host_and_nobody_signed_in(server: Server) -> None:
    assert get(server, "/healthz", host="10.0.0.7").json() == {"status": "ok"}


def test_readiness_names_each_dependency(server: Server) -> None:
    answer = get(server, "/readyz")

    assert answer.status_code == 200, answer.text
    assert answer.json()["checks"] == {"database": "ok", "migrations": "ok", "stores": "ok", "keys": "ok"}


def test_metrics_are_in_prometheus_text_format(server: Server) -> None:
    answer = get(server, "/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE" in answer.text


def test_an_unknown_api_address_answers_json_and_not_the_dashboard(server: Server) -> None:
    answer = get(server, "/api/v1/nothing/")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_answer_carries_its_request_id_and_a_given_one_is_kept(server: Server) -> None:
    given = get(server, "/api/v1/devices/", **{"X-Request-Id": "proxy-0123456789"})
    made = get(server, "/api/v1/devices/", **{"X-Request-Id": "bad id\t<script>"})

    assert given.headers["X-Request-Id"] == given.json()["request_id"] == "proxy-0123456789"
    assert made.headers["X-Request-Id"] == made.json()["request_id"] != "bad id\t<script>"


def test_the_page_has_a_strict_policy_whose_nonce_changes_each_time(server: Server) -> None:
    policies = {get(server, "/").headers["Content-Security-Policy"] for _ in range(3)}

    assert len(policies) == 3
    assert all("script-src 'self';" in policy and "unsafe" not in policy for policy in policies)


def test_static_addresses_do_not_lead_outside_the_dashboards_folder(server: Server) -> None:
    address = urlsplit(server.url)
    assert address.hostname
    for path in ("/static/../../manage.py", "/static/%2e%2e/%2e%2e/manage.py", "/static//etc/passwd"):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)  # normalises no path
        connection.request("GET", path)
        assert connection.getresponse().status == 404, path
        connection.close()


async def test_three_hundred_requests_at_once_get_each_a_clear_answer(server: Server, viewer: Person) -> None:
    headers = {"Authorization": f"Bearer {viewer.token}"}
    limits = httpx.Limits(max_connections=300)
    async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60, trust_env=False) as client:
        answers = await asyncio.gather(*(client.get("/api/v1/devices/", headers=headers) for _ in range(300)))

    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["Retry-After"]) > 0
    assert get(server, "/readyz").status_code == 200, "and afterwards all is well"
