"""The one translator from errors to the operators' API: ``{code, message, fields, request_id}``."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.errors import DomainError, TooManyRequestsError, UnavailableError
from common.request_id import request_id

logger = logging.getLogger(__name__)


def error_body(code: str, message: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """The one error shape."""
    return {"code": code, "message": message, "fields": fields or {}, "request_id": request_id.get()}


def _field_texts(detail: Any, prefix: str = "") -> dict[str, str]:
    """DRF's nested error details as dotted field names with one text each."""
    if isinstance(detail, dict):
        texts: dict[str, str] = {}
        for name, inner in detail.items():
            texts |= _field_texts(inner, f"{prefix}.{name}" if prefix else str(name))
        return texts
    if isinstance(detail, list):
        if all(not isinstance(item, dict | list) for item in detail):
            return {prefix or "non_field_errors": " ".join(str(item) for item in detail)}
        texts = {}
        for index, item in enumerate(detail):
            texts |= _field_texts(item, f"{prefix}[{index}]")
        return texts
    return {prefix or "non_field_errors": str(detail)}


_CODES = {
    400: "invalid_input",
    401: "not_authenticated",
    403: "not_permitted",
    404: "not_found",
    429: "too_many_requests",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. Unexpected errors return None: Django answers 500 and logs the chain once."""
    if isinstance(error, DomainError):
        if error.context:
            logger.info("%s: %s %s", error.error_code, error.text, error.context)
        set_rollback()
        headers = (
            {"Retry-After": str(error.retry_after_s)}
            if isinstance(error, UnavailableError | TooManyRequestsError)
            else {}
        )
        if error.status == 401:  # noqa: PLR2004 - RFC 9110: a 401 names the way in
            headers["WWW-Authenticate"] = "Bearer"
        return Response(error_body(error.error_code, error.text, error.fields), status=error.status, headers=headers)
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(getattr(error, "message_dict", None) or error.messages)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    fields = _field_texts(error.detail) if isinstance(error, exceptions.ValidationError) else {}
    message = (
        "; ".join(f"{name}: {text}" for name, text in fields.items())
        if fields
        else str(getattr(error, "detail", error.default_detail))
    )
    headers = {}
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    code = _CODES.get(error.status_code, str(error.default_code))
    return Response(error_body(code, message, fields), status=error.status_code, headers=headers)
