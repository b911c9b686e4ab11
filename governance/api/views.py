"""Governance's REST resources."""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import login, logout
from django.db.models import QuerySet
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import NotAuthenticatedError
from governance import selectors
from governance.api import serializers
from governance.api.viewsets import OrganizationViewSet
from governance.authentication import (
    SESSION_ORGANIZATION_KEY,
    SessionAuthentication,
    caller_of_user,
    csrf_require,
)
from governance.models import ApiToken, AuditEntry, Membership, Role, User
from governance.services import api_tokens
from governance.services.sign_in import sign_in, sign_in_record, sign_out_record
from governance.types import Caller


class SessionView(APIView):
    """Signing in and out of the dashboard."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = ()

    @extend_schema(responses=serializers.SessionSerializer)
    def get(self, request: Request) -> Response:
        """Who is signed in; 401 when nobody is. Sets the CSRF cookie either way."""
        get_token(request._request)  # noqa: SLF001 - Django's function wants Django's request
        if not isinstance(request.auth, Caller):
            raise NotAuthenticatedError("Nobody is signed in.")
        return self._answer(request, cast("User", request.user), request.auth)

    @extend_schema(request=serializers.SignInSerializer, responses=serializers.SessionSerializer)
    def post(self, request: Request) -> Response:
        """Sign in. Needs the CSRF header; the session and the CSRF token change."""
        csrf_require(request._request)  # noqa: SLF001
        body = serializers.SignInSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = sign_in(
            username=body.validated_data["username"],
            password=body.validated_data["password"],
            address=request.META.get("REMOTE_ADDR", ""),
        )
        caller = caller_of_user(user, None)
        # Django keeps the session of who signs in again; a session that somebody else may know must end here.
        request.session.flush()
        login(request._request, user)  # noqa: SLF001
        request.session[SESSION_ORGANIZATION_KEY] = caller.organization_id
        sign_in_record(caller=caller, user=user)
        return self._answer(request, user, caller)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out. Idempotent."""
        if isinstance(request.auth, Caller):
            sign_out_record(caller=request.auth, user=cast("User", request.user))
        logout(request._request)  # noqa: SLF001
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _answer(self, request: Request, user: User, caller: Caller) -> Response:
        session = {
            "user": user,
            "organization": selectors.organization_of(caller=caller),
            "role": caller.role,
            "csrf_token": get_token(request._request),  # noqa: SLF001
            "is_demo": bool(settings.DEMO_CONTROL_URL),
        }
        return Response(serializers.SessionSerializer(session).data, headers={"Cache-Control": "no-store"})


class PersonViewSet(ListModelMixin, OrganizationViewSet[Membership]):
    """People of the organization."""

    serializer_class = serializers.PersonSerializer
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        """The organization's."""
        return Membership.objects.none() if self.is_schema_generation else selectors.people(caller=self.caller)


class ApiTokenViewSet(ListModelMixin, OrganizationViewSet[ApiToken]):
    """API tokens; administrators."""

    serializer_class = serializers.ApiTokenSerializer
    queryset = ApiToken.objects.none()
    required_role = Role.ADMINISTRATOR

    def get_queryset(self) -> QuerySet[ApiToken]:
        """The organization's."""
        return ApiToken.objects.none() if self.is_schema_generation else selectors.api_tokens(caller=self.caller)

    @extend_schema(request=serializers.ApiTokenCreateSerializer, responses={201: serializers.ApiTokenCreatedSerializer})
    def create(self, request: Request) -> Response:
        """Make a token; its secret is in this answer and nowhere else."""
        body = serializers.ApiTokenCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        made = api_tokens.api_token_create(
            caller=self.caller,
            name=given["name"],
            role=Role(given["role"]),
            lifetime=timedelta(seconds=given["expires_in_s"]) if given["expires_in_s"] else None,
        )
        serializer = serializers.ApiTokenCreatedSerializer(made.token, context={"token": made.text})
        return Response(serializer.data, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @extend_schema(request=None, responses=serializers.ApiTokenSerializer)
    @action(detail=True, methods=["POST"])
    def revoke(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """Revoke a token. Idempotent."""
        token = api_tokens.api_token_revoke(caller=self.caller, token_id=id)
        return Response(serializers.ApiTokenSerializer(token).data)


class AuditViewSet(OrganizationViewSet[AuditEntry]):
    """The audit log; administrators."""

    serializer_class = serializers.AuditEntrySerializer
    queryset = AuditEntry.objects.none()
    required_role = Role.ADMINISTRATOR
    keyset_ordering = "-number"

    @extend_schema(parameters=[serializers.AuditFilterSerializer])
    def list(self, request: Request) -> Response:
        """Entries, newest first."""
        query = serializers.AuditFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        columns = {"action": "action", "object_kind": "object_kind", "actor": "actor_id"}
        given = {columns[name]: value for name, value in query.validated_data.items()}
        page = self.page_of(selectors.audit_entries(caller=self.caller).filter(**given))
        names = selectors.audit_names(caller=self.caller, entries=page)
        serializer = serializers.AuditEntrySerializer(page, many=True, context={"names": names})
        return self.get_paginated_response(serializer.data)
