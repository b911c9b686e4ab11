"""Keyset paging: ``{results, next, previous}`` with absolute URLs or null.

DRF's cursor pagination does the work: it pages by the ordering's value, not by an offset, so page 10,000 costs as much
as page 1 and rows that appear meanwhile shift nothing.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class KeysetPagination(CursorPagination):
    """By ``-id`` (newest first), or by the view's ``keyset_ordering``, whose last field must be unique."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering: Any = "-id"

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: Any) -> tuple[str, ...]:
        """The view's ``keyset_ordering`` wins over the default."""
        ordering = getattr(view, "keyset_ordering", self.ordering)
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)
