"""The base of all operators' viewsets."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from rest_framework.viewsets import GenericViewSet

from governance.types import Caller

M = TypeVar("M", bound=Model)
N = TypeVar("N", bound=Model)


class OrganizationViewSet(GenericViewSet[M]):
    """Objects are looked up by their public id, through a selector that takes ``self.caller``.

    Subclasses define ``get_queryset`` by calling a selector: what another organization owns is not found.
    """

    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    @property
    def caller(self) -> Caller:
        """Who is asking; ``HasRole`` has made sure that somebody is."""
        return cast("Caller", self.request.auth)

    @property
    def is_schema_generation(self) -> bool:
        """Whether drf-spectacular is walking the views without a request."""
        return bool(getattr(self, "swagger_fake_view", False))

    def page_of(self, queryset: QuerySet[N]) -> list[N]:
        """The page of ``queryset`` the request asks for; answer it with ``get_paginated_response``."""
        page = self.paginate_queryset(cast("QuerySet[Any]", queryset))
        assert page is not None  # the default pagination is never switched off on a list
        return cast("list[N]", page)

    def get_serializer_context(self) -> dict[str, Any]:
        """Adds the caller."""
        context = dict(super().get_serializer_context())
        if not self.is_schema_generation:
            context["caller"] = self.caller
        return context
