"""People agree, the server signs, and a device's own TUF client believes it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from tuf.api.exceptions import BadVersionNumberError, DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import FetcherInterface, Updater

from common import clock
from governance.models import AuditEntry
from models_registry import selectors
from models_registry.errors import ObjectMissingError, VersionNotReleasableError
from models_registry.models import SigningKey, TrustMetadata
from models_registry.services import trust
from models_registry.storage.base import key_for
from models_registry.storage.registry import default_store
from tests.factories.people import Person
from tests.models_registry.assets import make_assets
from tests.models_registry.publishing import Api, sandbox_in_process, validate

pytestmark = pytest.mark.django_db

SOUND = make_assets.sound().SerializeToString()


class MetadataDoor(FetcherInterface):
    """The device door, without the network: what ``trust_metadata`` answers, 404 for the rest."""

    def __init__(self, organization_id: int) -> None:
        self.organization_id = organization_id
        self.asked: list[str] = []

    def _fetch(self, url: str) -> Iterator[bytes]:
        filename = url.rsplit("/", 1)[1]
        self.asked.append(filename)
        content = selectors.trust_metadata(self.organization_id, filename)
        if content is None:
            raise DownloadHTTPError(filename, 404)
        return iter([content])


class Device:
    """A device with its own trusted copy, from its enrolment on."""

    def __init__(self, folder: Path, organization_id: int) -> None:
        self.folder = folder / "trusted"
        self.folder.mkdir(parents=True)
        self.door = MetadataDoor(organization_id)
        self.root = trust.trust_root(organization_id).encode()
        self.is_new = True

    def updater(self) -> Updater:
        updater = Updater(
            metadata_dir=str(self.folder),
            metadata_base_url="http://server/metadata/",
            fetcher=self.door,
            bootstrap=self.root if self.is_new else None,
        )
        self.is_new = False
        updater.refresh()
        return updater


@pytest.fixture
def api(operator: Person) -> Api:
    return Api(operator)


@pytest.fixture
def boss(owner: Person) -> Api:
    return Api(owner)


@pytest.fixture
def ready(api: Api, assets: Path) -> dict[str, Any]:
    with sandbox_in_process():
        model = api.model()
        api.evaluation_set(model, assets / "sound.npz")
        made = api.version(model, SOUND)
        validate()
    return api.read(made)


def approve(api: Api, boss: Api, version: dict[str, Any]) -> dict[str, Any]:
    assert api.post(f"versions/{version['id']}/request-approval/", reason="for shop 7").status_code == 200
    answer = boss.post(f"versions/{version['id']}/approve/", reason="looks good")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_an_approved_version_is_a_signed_target_a_tuf_client_accepts(
    api: Api, boss: Api, ready: dict[str, Any], tmp_path: Path
) -> None:
    organization_id = boss.person.caller.organization_id
    device = Device(tmp_path, organization_id)
    assert device.updater().get_targetinfo("digits/1.0.0/fp32/model.onnx") is None

    approved = approve(api, boss, ready)
    assert approved["approval"] == "approved"
    assert approved["approval_reason"] == "looks good"
    assert approved["approved_at"] is not None

    updater = device.updater()
    for name in ("model.onnx", "manifest.json"):
        target = updater.get_targetinfo(f"digits/1.0.0/fp32/{name}")
        assert target is not None
        with default_store().open_range(key_for(target.hashes["sha256"])) as reader:
            body = b"".join(reader)
        target.verify_length_and_hashes(body)
    entries = AuditEntry.objects.order_by("number").values_list("action", "actor_kind", "reason")
    assert ("version.request", "token", "for shop 7") in entries
    assert ("version.approve", "token", "looks good") in entries


def test_only_an_administrator_approves_and_only_what_was_asked_for(api: Api, boss: Api, ready: dict[str, Any]) -> None:
    path = f"versions/{ready['id']}"
    assert boss.post(f"{path}/approve/", reason="").status_code == 409  # nobody asked
    assert api.post(f"{path}/request-approval/", reason="").status_code == 200
    assert api.post(f"{path}/approve/", reason="").status_code == 403
    assert api.post(f"{path}/decline/", reason="").status_code == 403
    assert api.post(f"{path}/request-approval/", reason="").status_code == 409  # twice
    declined = boss.post(f"{path}/decline/", reason="too slow")
    assert (declined.json()["approval"], declined.json()["approval_reason"]) == ("declined", "too slow")
    assert api.post(f"{path}/request-approval/", reason="again").status_code == 200
    assert boss.post(f"{path}/approve/", reason="").status_code == 200
    assert boss.post(f"{path}/approve/", reason="").status_code == 409
    assert boss.post(f"{path}/decline/", reason="").status_code == 409
    answer = api.delete(f"{path}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "models_registry.invalid_transition")


def test_only_ready_approved_versions_roll_out(api: Api, boss: Api, ready: dict[str, Any]) -> None:
    caller = api.person.caller
    version_id = UUID(ready["id"])
    with pytest.raises(VersionNotReleasableError, match="approval none"):
        selectors.version_for_rollout(caller=caller, version_id=version_id)
    approve(api, boss, ready)
    found = selectors.version_for_rollout(caller=caller, version_id=version_id)
    assert (found.model_name, found.version) == ("digits", "1.0.0")
    (variant,) = found.variants
    assert variant.digest == ready["variants"][0]["digest"]
    assert variant.model.target_path == "digits/1.0.0/fp32/model.onnx"
    assert variant.manifest.target_path == "digits/1.0.0/fp32/manifest.json"
    assert (len(variant.model.sha1), variant.model.size_bytes) == (40, len(SOUND))
    assert found.variant_for(12345) == variant
    assert selectors.variants_by_id(organization_id=caller.organization_id, ids=[variant.id]) == {variant.id: variant}
    assert selectors.variants_by_id(organization_id=caller.organization_id + 1, ids=[variant.id]) == {}
    assert (
        selectors.variant_with_digest(
            organization_id=caller.organization_id, model_name="digits", digest=variant.digest
        )
        == variant
    )

    answer = api.post(f"versions/{ready['id']}/deprecate/", reason="1.1 is better")
    assert answer.json()["state"] == "deprecated"
    with pytest.raises(VersionNotReleasableError, match="deprecated"):
        selectors.version_for_rollout(caller=caller, version_id=version_id)
    # Devices that run it keep it: it can still be named and fetched.
    assert selectors.version_ref(organization_id=caller.organization_id, version_id=found.id) == found
    location = selectors.artifact_location(
        organization_id=caller.organization_id, artifact_id=variant.model.artifact_id
    )
    assert location.url is None
    assert location.path is not None
    assert location.path.read_bytes() == SOUND
    with pytest.raises(ObjectMissingError):
        selectors.artifact_location(organization_id=caller.organization_id + 1, artifact_id=variant.model.artifact_id)


def test_a_device_in_the_middle_of_its_update_is_not_disturbed_by_an_approval(
    api: Api, boss: Api, ready: dict[str, Any], tmp_path: Path
) -> None:
    """The client reads timestamp, then snapshot, then targets; an approval falls between the first two."""
    organization_id = boss.person.caller.organization_id
    device = Device(tmp_path, organization_id)
    original = device.door._fetch

    def approve_after_the_timestamp(url: str) -> Iterator[bytes]:
        content = original(url)
        if url.endswith("timestamp.json") and device.door.asked.count("timestamp.json") == 1:
            approve(api, boss, ready)
        return content

    device.door._fetch = approve_after_the_timestamp  # type: ignore[method-assign]
    device.updater()
    assert device.updater().get_targetinfo("digits/1.0.0/fp32/model.onnx") is not None


def test_keys_are_files_only_the_server_reads(boss: Api) -> None:
    trust.trust_root(boss.person.caller.organization_id)
    keys = SigningKey.objects.filter(organization_id=boss.person.caller.organization_id)
    assert sorted(key.role for key in keys) == ["root", "snapshot", "targets", "timestamp"]
    for key in keys:
        path = Path(settings.KEYS_DIR) / key.key_name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "private" not in json.dumps(key.public)


def test_the_same_root_is_handed_out_every_time_and_each_organization_has_its_own(boss: Api, outsider: Person) -> None:
    mine = trust.trust_root(boss.person.caller.organization_id)
    assert trust.trust_root(boss.person.caller.organization_id) == mine
    theirs = trust.trust_root(outsider.caller.organization_id)
    ours, others = (Metadata[Root].from_bytes(text.encode()).signed for text in (mine, theirs))
    assert not ours.keys.keys() & others.keys.keys()


def test_a_device_of_another_organization_does_not_accept_our_metadata(
    api: Api, boss: Api, ready: dict[str, Any], outsider: Person, tmp_path: Path
) -> None:
    approve(api, boss, ready)
    device = Device(tmp_path, outsider.caller.organization_id)
    device.door.organization_id = boss.person.caller.organization_id
    with pytest.raises(RepositoryError):
        device.updater()


def test_metadata_is_signed_again_before_it_expires_and_devices_go_on(
    api: Api, boss: Api, ready: dict[str, Any], tmp_path: Path
) -> None:
    organization_id = boss.person.caller.organization_id
    approve(api, boss, ready)
    device = Device(tmp_path, organization_id)
    device.updater()
    assert trust.trust_refresh(organization_id=organization_id) == []
    for days in (1.5, 10, 70, 320, 700):
        with clock.advanced(timedelta(days=days)):
            assert "timestamp" in trust.trust_refresh(organization_id=organization_id)
            assert trust.trust_refresh(organization_id=organization_id) == []
            updater = Updater(
                metadata_dir=str(device.folder),
                metadata_base_url="http://server/metadata/",
                fetcher=device.door,
                bootstrap=None,
            )
            # The library asks the system's clock for the reference time; a test moves it along.
            updater._trusted_set.reference_time = clock.now().astimezone(UTC)
            updater.refresh()
            assert updater.get_targetinfo("digits/1.0.0/fp32/model.onnx") is not None


def test_expired_metadata_is_refused_by_the_client(boss: Api, tmp_path: Path) -> None:
    organization_id = boss.person.caller.organization_id
    with clock.frozen(datetime.now(UTC) - timedelta(days=3)):
        device = Device(tmp_path, organization_id)
    with pytest.raises(ExpiredMetadataError):
        device.updater()
    assert trust.trust_refresh_all() == 1
    device.updater()


@pytest.mark.parametrize("role", trust.ROLES)
def test_a_rotated_key_is_followed_by_a_device_that_knew_the_old_one(
    api: Api, boss: Api, ready: dict[str, Any], tmp_path: Path, role: str
) -> None:
    organization_id = boss.person.caller.organization_id
    approve(api, boss, ready)
    device = Device(tmp_path, organization_id)
    device.updater()
    former = SigningKey.objects.get(organization_id=organization_id, role=role, retired_at=None)
    trust.trust_rotate(organization_id=organization_id, role=role)
    trust.trust_rotate(organization_id=organization_id, role=role)
    updater = device.updater()
    assert updater.get_targetinfo("digits/1.0.0/fp32/model.onnx") is not None
    root = Metadata[Root].from_bytes(trust.trust_root(organization_id).encode()).signed
    assert root.version == 3
    assert former.key_id not in root.roles[role].keyids
    assert SigningKey.objects.filter(organization_id=organization_id, role=role).count() == 3
    # A device that enrols now needs no chain.
    assert Device(tmp_path / "new", organization_id).updater() is not None


def test_a_missing_key_stops_approval_and_changes_nothing(api: Api, boss: Api, ready: dict[str, Any]) -> None:
    organization_id = boss.person.caller.organization_id
    trust.trust_root(organization_id)
    key = SigningKey.objects.get(organization_id=organization_id, role="targets")
    path = Path(settings.KEYS_DIR) / key.key_name
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    try:
        api.post(f"versions/{ready['id']}/request-approval/", reason="")
        answer = boss.post(f"versions/{ready['id']}/approve/", reason="")
        assert (answer.status_code, answer.json()["code"]) == (503, "models_registry.key_unavailable")
        assert api.read(ready)["approval"] == "requested"
        assert TrustMetadata.objects.filter(organization_id=organization_id, role="targets").count() == 1
    finally:
        os.replace(hidden, path)  # noqa: PTH105
    assert boss.post(f"versions/{ready['id']}/approve/", reason="").status_code == 200


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "root",
        "0.root.json",
        "9.root.json",
        "../root.json",
        "mirrors.json",
        "1.root.json.bak",
        "9" * 30 + ".root.json",
    ],
)
def test_a_name_that_is_no_metadata_file_is_not_found(boss: Api, filename: str) -> None:
    organization_id = boss.person.caller.organization_id
    trust.trust_root(organization_id)
    assert selectors.trust_metadata(organization_id, filename) is None
    assert selectors.trust_metadata(organization_id, "1.root.json") == selectors.trust_metadata(
        organization_id, "root.json"
    )


def test_superseded_metadata_is_removed_in_time_and_roots_never(boss: Api) -> None:
    organization_id = boss.person.caller.organization_id
    trust.trust_root(organization_id)
    for number in range(trust.KEPT_VERSIONS + 3):
        target = trust.SignedTarget(path=f"m/{number}/fp32/model.onnx", size_bytes=1, sha256="0" * 64)
        with transaction.atomic():
            trust.targets_add(organization_id=organization_id, targets=[target])
    trust.trust_rotate(organization_id=organization_id, role="root")
    trust.trust_refresh_all()
    for role in ("targets", "snapshot", "timestamp"):
        assert TrustMetadata.objects.filter(organization_id=organization_id, role=role).count() == trust.KEPT_VERSIONS
    assert TrustMetadata.objects.filter(organization_id=organization_id, role="root").count() == 2


def test_after_a_restore_from_a_backup_devices_follow_metadata_that_was_signed_anew(
    api: Api, boss: Api, ready: dict[str, Any], tmp_path: Path
) -> None:
    organization_id = boss.person.caller.organization_id
    approve(api, boss, ready)
    backup = list(TrustMetadata.objects.filter(organization_id=organization_id))
    for number in range(3):
        target = trust.SignedTarget(path=f"lost/{number}/fp32/model.onnx", size_bytes=1, sha256="0" * 64)
        with transaction.atomic():
            trust.targets_add(organization_id=organization_id, targets=[target])
    device = Device(tmp_path, organization_id)
    assert device.updater().get_targetinfo("lost/2/fp32/model.onnx") is not None

    TrustMetadata.objects.filter(organization_id=organization_id).delete()
    TrustMetadata.objects.bulk_create(backup)
    with pytest.raises(BadVersionNumberError):
        device.updater()

    with clock.frozen(datetime.now(UTC) + timedelta(minutes=1)):  # a restore takes longer than the clock's second
        call_command("flotilla_restored")
    updater = device.updater()
    assert updater.get_targetinfo("digits/1.0.0/fp32/model.onnx") is not None
    assert updater.get_targetinfo("lost/2/fp32/model.onnx") is None
    assert AuditEntry.objects.filter(action="trust.sign_anew", organization_id=organization_id).count() == 1
