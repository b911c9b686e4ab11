"""Where the demo's devices stand."""

from __future__ import annotations

from collections import Counter

import pytest

from demo.world import PLACES, REGIONS, members


def test_there_are_three_real_agents_and_sixty_simulated_devices() -> None:
    everyone = members()
    assert Counter(member.is_real for member in everyone) == {True: 3, False: 60}
    assert len({member.controller_id for member in everyone}) == 63


def test_agents_are_on_three_kinds_of_hardware_in_three_regions() -> None:
    agents = [member for member in members() if member.is_real]
    assert {agent.place.region for agent in agents} == set(REGIONS)
    assert len({agent.profile.name for agent in agents}) == 3


@pytest.mark.parametrize("count", [9, 12, 60])
def test_each_agent_is_alone_in_its_stratum_so_that_a_canary_covers_it(count: int) -> None:
    strata = Counter((member.place.region, member.profile.name) for member in members(count))
    for member in members(count):
        if member.is_real:
            assert strata[member.place.region, member.profile.name] == 1
    assert len(strata) == 6


def test_devices_are_spread_evenly_over_all_sites() -> None:
    sites = Counter(member.place.name for member in members() if not member.is_real)
    assert set(sites) == {place.name for place in PLACES}
    assert max(sites.values()) - min(sites.values()) <= 1


def test_few_devices_are_still_in_every_region() -> None:
    assert {member.place.region for member in members(3) if not member.is_real} == set(REGIONS)
