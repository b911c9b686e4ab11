"""Addresses of insights below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from insights.api import views

router = SimpleRouter(use_regex_path=False)
router.register("jobs", views.JobViewSet, basename="job")

urlpatterns = [
    path("overview/", views.OverviewView.as_view(), name="overview"),
    path("devices/<uuid:id>/why/", views.DeviceWhyView.as_view(), name="device-why"),
    path("tour/", views.TourView.as_view(), name="tour"),
    path("tour/actions/<slug:key>/", views.TourActionView.as_view(), name="tour-action"),
    *router.urls,
]
