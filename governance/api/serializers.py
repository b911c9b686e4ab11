"""Shapes of governance's REST resources (``docs/api/README.md``)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.clock import now
from governance.models import ApiToken, AuditEntry, Membership, Role, User
from governance.selectors import display_name

API_TOKEN_STATES = [(state, state) for state in ("active", "expired", "revoked")]


class ReasonSerializer(serializers.Serializer[Any]):
    """Why somebody does something; kept in the audit log."""

    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class PersonRefSerializer(serializers.Serializer[User]):
    """A person."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.SerializerMethodField()

    def get_name(self, user: User) -> str:
        """How they are called."""
        return display_name(user)


class SignInSerializer(serializers.Serializer[Any]):
    """Who wants in."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)


class SessionUserSerializer(PersonRefSerializer):
    """The signed-in person."""

    username = serializers.CharField()


class SessionOrganizationSerializer(serializers.Serializer[Any]):
    """The organization the session is in."""

    id = serializers.UUIDField(source="public_id")
    slug = serializers.CharField()
    name = serializers.CharField()


class SessionSerializer(serializers.Serializer[Any]):
    """A session."""

    user = SessionUserSerializer()
    organization = SessionOrganizationSerializer()
    role = serializers.ChoiceField(choices=Role.choices)
    csrf_token = serializers.CharField()
    is_demo = serializers.BooleanField()


class PersonSerializer(serializers.Serializer[Membership]):
    """A member of the organization."""

    id = serializers.UUIDField(source="user.public_id")
    username = serializers.CharField(source="user.username")
    name = serializers.SerializerMethodField()
    role = serializers.ChoiceField(choices=Role.choices)
    joined_at = serializers.DateTimeField(source="created_at")

    def get_name(self, membership: Membership) -> str:
        """How they are called."""
        return display_name(membership.user)


class ApiTokenSerializer(serializers.Serializer[ApiToken]):
    """An API token, without its secret."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    prefix = serializers.CharField()
    state = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = PersonRefSerializer(allow_null=True)

    @extend_schema_field(serializers.ChoiceField(choices=API_TOKEN_STATES))
    def get_state(self, token: ApiToken) -> str:
        """Whether it still works."""
        if token.revoked_at is not None:
            return "revoked"
        return "expired" if token.expires_at is not None and token.expires_at <= now() else "active"


class ApiTokenCreatedSerializer(ApiTokenSerializer):
    """A token just made; ``token`` is shown this once."""

    token = serializers.SerializerMethodField()

    def get_token(self, token: ApiToken) -> str:
        """The secret."""
        del token
        return str(self.context["token"])


class ApiTokenCreateSerializer(serializers.Serializer[Any]):
    """What a new token is for; without ``expires_in_s`` it does not expire."""

    name = serializers.CharField(max_length=128)
    role = serializers.ChoiceField(choices=Role.choices)
    expires_in_s = serializers.IntegerField(
        min_value=1, max_value=3660 * 86_400, allow_null=True, required=False, default=None
    )


class AuditReferenceSerializer(serializers.Serializer[Any]):
    """Somebody or something; ``name`` is null when it is not known, or was erased."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField(allow_null=True)


class AuditEntrySerializer(serializers.Serializer[Any]):
    """An entry of the audit log. ``names`` in the context holds names by ``(kind, id)``."""

    id = serializers.CharField(source="pk")
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.SerializerMethodField()
    action = serializers.CharField()
    object = serializers.SerializerMethodField()
    reason = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    def _named(self, kind: str, id: str) -> dict[str, Any]:  # noqa: A002
        return {"kind": kind, "id": id, "name": self.context["names"].get((kind, id))}

    @extend_schema_field(AuditReferenceSerializer)
    def get_actor(self, entry: AuditEntry) -> dict[str, Any]:
        """Who did it."""
        return self._named(entry.actor_kind, entry.actor_id)

    @extend_schema_field(AuditReferenceSerializer)
    def get_object(self, entry: AuditEntry) -> dict[str, Any]:
        """What it was done to."""
        return self._named(entry.object_kind, entry.object_id)


class AuditFilterSerializer(serializers.Serializer[Any]):
    """Filters of the audit log."""

    action = serializers.CharField(required=False, max_length=64)
    object_kind = serializers.CharField(required=False, max_length=32)
    actor = serializers.CharField(required=False, max_length=64, help_text="an actor's id")
