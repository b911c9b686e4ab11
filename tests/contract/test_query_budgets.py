"""What a list costs: a number of queries that is written down here and does not grow with what is listed."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.models import Organization
from tests.contract.surface import API, Endpoint, World, endpoints, world_make
from tests.factories.people import Person

# Queries per list, the API token's included. Raising one needs a reason in the change that does it.
BUDGETS = {
    "alert-rules/": 2,
    "alerts/": 2,
    "api-tokens/": 2,
    "audit/": 16,  # one per kind of thing it names
    "deployments/": 2,
    "devices/": 4,
    "devices/{id}/events/": 4,
    "enrolment-tokens/": 2,
    "hardware-profiles/": 2,
    "jobs/": 3,
    "models/": 5,
    "models/{id}/evaluation-sets/": 3,
    "people/": 2,
    "regions/": 2,
    "rollouts/": 6,
    "rollouts/{id}/events/": 3,
    "sites/": 2,
    "versions/": 5,
}
MORE = 4


def lists() -> list[Endpoint]:
    return [endpoint for endpoint in endpoints() if endpoint.is_list]


def queries(person: Person, world: World, endpoint: Endpoint) -> int:
    with CaptureQueriesContext(connection) as context:
        answer = person.get(world.address(endpoint))
    assert answer.status_code == 200, f"{endpoint}: {answer.content}"
    return len(context)


def test_every_list_has_a_budget() -> None:
    assert {endpoint.path for endpoint in lists()} == set(BUDGETS)


def test_every_list_keeps_its_budget_and_does_not_grow(owner: Person, organization: Organization, world: World) -> None:
    owner.get(f"{API}people/")  # the token's last use is written once a minute
    before = {endpoint: queries(owner, world, endpoint) for endpoint in lists()}
    for _ in range(MORE):
        world_make(organization)

    for endpoint, cost in before.items():
        after = queries(owner, world, endpoint)
        assert after <= cost, f"{endpoint.path}: {cost} queries for one of everything, {after} for {1 + MORE}"
        assert cost <= BUDGETS[endpoint.path], f"{endpoint.path}: {cost} queries, budget {BUDGETS[endpoint.path]}"
