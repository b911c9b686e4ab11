"""Addresses of telemetry's API, mounted under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from telemetry.api import views

router = SimpleRouter(use_regex_path=False)
router.register("alerts", views.AlertViewSet)
router.register("alert-rules", views.AlertRuleViewSet)

urlpatterns = [
    path("devices/<uuid:id>/health/", views.DeviceHealthView.as_view()),
    path("devices/<uuid:id>/windows/", views.DeviceWindowsView.as_view()),
    path("drift/", views.DriftView.as_view()),
    path("drift/cell/", views.DriftCellView.as_view()),
    *router.urls,
]
