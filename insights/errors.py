"""What can go wrong in insights, as codes clients match on."""

from __future__ import annotations

from common.errors import ConflictError, NotFoundError, UnavailableError


class JobNotFoundError(NotFoundError):
    """No such job in the caller's organization."""

    code = "insights.job_not_found"


class NoTourError(NotFoundError):
    """This installation runs no demo, or the demo is another organization's."""

    code = "insights.no_tour"


class TourUnavailableError(UnavailableError):
    """The demo's story does not answer."""

    code = "insights.tour_unavailable"


class TourActionRefusedError(ConflictError):
    """The story cannot do this now."""

    code = "insights.tour_action_refused"
