"""Addresses of the fleet below ``/api/v1/``."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from fleet.api import views

router = SimpleRouter(use_regex_path=False)
router.register("devices", views.DeviceViewSet, basename="device")
router.register("enrolment-tokens", views.EnrolmentTokenViewSet, basename="enrolment-token")
router.register("sites", views.SiteViewSet, basename="site")
router.register("regions", views.RegionViewSet, basename="region")
router.register("hardware-profiles", views.HardwareProfileViewSet, basename="hardware-profile")

urlpatterns = router.urls
