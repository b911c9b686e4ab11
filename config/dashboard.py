"""The dashboard's one page."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

_NONCE_PLACEHOLDER = "__CSP_NONCE__"


@lru_cache(maxsize=1)
def _page(modified_ns: int) -> str:
    """The built page; read again only when a new build has replaced it."""
    del modified_ns
    text: str = (settings.FRONTEND_DIST / "index.html").read_text(encoding="utf-8")
    return text


@require_safe
@ensure_csrf_cookie
def dashboard(request: HttpRequest, path: str = "") -> HttpResponse:
    """Answers every address that is not an API's: the dashboard routes in the browser."""
    del path
    try:
        modified_ns = (settings.FRONTEND_DIST / "index.html").stat().st_mtime_ns
    except FileNotFoundError:
        return HttpResponse(
            "The dashboard is not built. Run `npm ci && npm run build` in frontend/, or `make demo`.",
            status=503,
            content_type="text/plain; charset=utf-8",
        )
    response = HttpResponse(_page(modified_ns).replace(_NONCE_PLACEHOLDER, request.csp_nonce))  # type: ignore[attr-defined]
    response["Cache-Control"] = "no-cache"
    return response
