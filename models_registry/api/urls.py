"""Addresses of the registry below ``/api/v1/``; uploads are in ``raw.py``."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from models_registry.api import views

router = SimpleRouter(use_regex_path=False)
router.register("models", views.ModelViewSet, basename="model")
router.register("versions", views.VersionViewSet, basename="version")

urlpatterns = router.urls
