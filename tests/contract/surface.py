"""Every address there is: the operators' API by its URL resolver, the devices' doors by their routes.

And a ``World``: an organization that has one of everything, all of it called ``zebra``, so that a test sees at a glance
whether any of it shows where it must not.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver
from starlette.routing import Route

from common.clock import now
from common.models import Job
from fleet.models import Device, EnrolmentToken, Evidence
from fleet.services.enrolment_tokens import enrolment_token_create
from fleet.services.events import device_event_append
from fleet.services.installed import installed_model_record
from governance.models import ApiToken, Organization, Role
from governance.services.api_tokens import api_token_create
from governance.types import Actor, Caller
from models_registry.models import EvaluationSet, ModelVersion, Upload
from rollouts.models import Deployment, GateResult, Rollout, RolloutEvent, Wave
from telemetry.models import Alert, AlertRule
from tests.factories.fleet import device_make, site_make
from tests.factories.fleets import artifact_make, version_make

API = "/api/v1/"
NAME = "zebra"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_METHODS = ("get", "post", "put", "patch", "delete")
SAFE = frozenset({"GET"})
_PAGED_ACTIONS = frozenset({"events", "evaluation_sets"})
_LIFETIME = timedelta(hours=1)
_numbers = itertools.count(1)


@dataclass(frozen=True, order=True)
class Endpoint:
    """One method at one address of the operators' API; ``path`` is below ``/api/v1/``, parameters in braces."""

    path: str
    method: str
    is_list: bool

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    @property
    def resource(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def has_parameter(self) -> bool:
        return "{" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def endpoints() -> list[Endpoint]:
    """All of the operators' API that Django serves."""
    found = sorted(set(_walk(get_resolver().url_patterns, "")))
    assert found
    return found


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Endpoint]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        elif path.startswith("api/v1/"):
            view = pattern.callback
            actions: dict[str, str] = getattr(view, "actions", None) or {
                method: method
                for method in _METHODS
                if hasattr(view.view_class, method)  # type: ignore[attr-defined]
            }
            for method, action in actions.items():
                if method in _METHODS:
                    yield Endpoint(
                        path=_PARAMETER.sub(r"{\1}", path.removeprefix("api/v1/")),
                        method=method.upper(),
                        is_list=method == "get" and _is_list(view, action),
                    )


def _is_list(view: Any, action: str) -> bool:
    """Whether the answer is a page: lists do, and actions on one object that are known to."""
    return action == "list" or (action in _PAGED_ACTIONS and bool(view.initkwargs.get("detail")))


def routes(application_routes: list[Any]) -> list[tuple[str, str]]:
    """``(method, path)`` of Starlette routes."""
    return [
        (method, route.path)
        for route in application_routes
        if isinstance(route, Route)
        for method in sorted(route.methods or {"GET"})
        if method not in {"HEAD", "OPTIONS"} or route.methods == {method}
    ]


@dataclass(frozen=True)
class World:
    """One of everything of an organization."""

    organization: Organization
    device: Device
    ids: dict[str, UUID]  # by resource: what stands in the address
    all_ids: frozenset[str]

    def address(self, endpoint: Endpoint) -> str:
        """The endpoint's address for this world's own object of its resource."""
        path = endpoint.path
        if endpoint.has_parameter:
            key = path[path.index("{") + 1 : path.index("}")]
            value = str(self.ids[endpoint.resource]) if key == "id" else "anything"
            path = path.replace("{" + key + "}", value)
        return API + path


def caller_of(organization: Organization) -> Caller:
    """An administrator who is nobody in particular."""
    return Caller(
        organization_id=organization.pk, role=Role.ADMINISTRATOR, actor=Actor(kind="system", id=""), user_id=None
    )


def world_make(organization: Organization) -> World:
    """Add one of everything to an organization; may be called again for more."""
    number = next(_numbers)
    name = f"{NAME}-{number}"
    caller, at = caller_of(organization), now()
    site = site_make(organization, name, name)
    device = device_make(
        organization, controller_id=name, site=site, profile=name, labels={NAME: name}, attributes={NAME: name}
    )
    token: EnrolmentToken = enrolment_token_create(
        caller=caller, name=name, lifetime=_LIFETIME, site=name, labels={NAME: name}
    ).token
    EnrolmentToken.objects.filter(pk=token.pk).update(used_by=device, used_at=at)
    api_token: ApiToken = api_token_create(caller=caller, name=name, role=Role.VIEWER, lifetime=None).token
    version: ModelVersion = version_make(organization, "1.0.0", model=name)
    evaluation_set = EvaluationSet.objects.create(
        organization=organization,
        model=version.model,
        name=name,
        artifact=artifact_make(organization),
        row_count=1,
        created_at=at,
    )
    upload = Upload.objects.create(
        organization=organization, filename=name, length_bytes=1, created_at=at, expires_at=at + _LIFETIME
    )
    installed_model_record(
        device_id=device.pk, model_name=name, version="1.0.0", digest="0" * 64, evidence=Evidence.ATTESTED
    )
    device_event_append(
        device_id=device.pk,
        kind="deployment.proven",
        reference_kind="version",
        reference_id=version.public_id,
        data={"text": name},
    )
    rollout = _rollout_make(version, device, name)
    rule = AlertRule.objects.create(
        organization=organization, name=name, kind="drift", threshold=0.1, severity="warning", created_at=at
    )
    alert = Alert.objects.create(
        organization=organization,
        rule=rule,
        fingerprint=name,
        severity="warning",
        title=name,
        text=name,
        subject={
            "model": name,
            "version": "1.0.0",
            "version_id": str(version.public_id),
            "region": name,
            "hardware_profile": None,
            "feature": NAME,
        },
        opened_at=at,
        updated_at=at,
    )
    job = Job.objects.create(
        organization_id=organization.pk,
        kind=NAME,
        subject_kind="version",
        subject_id=version.public_id,
        run_after=at,
        created_at=at,
    )
    assert device.region is not None
    ids = {
        "alerts": alert.public_id,
        "alert-rules": rule.public_id,
        "api-tokens": api_token.public_id,
        "deployments": device.public_id,  # addressed through rollout and device only
        "devices": device.public_id,
        "enrolment-tokens": token.public_id,
        "hardware-profiles": device.hardware_profile.public_id,
        "jobs": job.public_id,
        "models": version.model.public_id,
        "regions": device.region.public_id,
        "rollouts": rollout.public_id,
        "sites": site.public_id,
        "uploads": upload.public_id,
        "versions": version.public_id,
    }
    others = {evaluation_set.public_id, *(variant.public_id for variant in version.variants.all())}
    return World(
        organization=organization,
        device=device,
        ids=ids,
        all_ids=frozenset(str(public_id) for public_id in {*ids.values(), *others}),
    )


def _rollout_make(version: ModelVersion, device: Device, name: str) -> Rollout:
    at = now()
    rollout = Rollout.objects.create(
        organization=version.organization,
        name=name,
        version=version,
        strategy="canary",
        state="halted",
        halt_reason={"gate": NAME, "metric": NAME, "text": name},
        released_wave=1,
        salt="s",
        created_at=at,
        started_at=at,
    )
    Wave.objects.create(rollout=rollout, number=1, name=name, device_count=1, released_at=at)
    Deployment.objects.create(
        rollout=rollout,
        device=device,
        wave=1,
        variant=version.variants.first(),
        state="proven",
        state_at=at,
        evidence="attested",
        proven_at=at,
    )
    RolloutEvent.objects.create(rollout=rollout, at=at, kind="rollout.halted", text=name)
    GateResult.objects.create(
        rollout=rollout, wave=1, gate=NAME, metric="latency_p95", verdict="harm", control="matched", text=name, at=at
    )
    return rollout
