"""What can be wrong with something the other end sent."""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of everything this package refuses."""


class InvalidMessageError(ProtocolError):
    """A message breaks the contract.

    Attributes:
        field: path of the offending value, with its index where it stands in a list
            (``health.cpu_ratio[3]``); empty when the message as a whole cannot be read.
        text: what is wrong with it; safe to show to the sender.
    """

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.field = field
        self.text = text


class IdentityError(ProtocolError):
    """A certificate request, assertion or report does not prove what it claims. Text is safe to show."""
