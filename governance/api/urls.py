"""Addresses of governance below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from governance.api import views

router = SimpleRouter(use_regex_path=False)
router.register("people", views.PersonViewSet, basename="person")
router.register("api-tokens", views.ApiTokenViewSet, basename="api-token")
router.register("audit", views.AuditViewSet, basename="audit")

urlpatterns = [path("session/", views.SessionView.as_view(), name="session"), *router.urls]
