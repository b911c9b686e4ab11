"""Addresses of rollouts below ``/api/v1/``."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from rollouts.api import views

router = SimpleRouter(use_regex_path=False)
router.register("rollouts", views.RolloutViewSet, basename="rollout")
router.register("deployments", views.DeploymentViewSet, basename="deployment")

urlpatterns = router.urls
