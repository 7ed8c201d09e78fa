"""Errors of handlers as status and message."""

from __future__ import annotations

from matex.errors import InputError
from matex.viewer.jobs import Busy
from matex.viewer.memory import Forgotten
from matex.viewer.requests import Refused


def explained_error(error: Exception) -> tuple[int, str]:
    """Status and message of an error; what is our fault says nothing of the request."""
    if isinstance(error, Refused):
        return error.status, error.message
    if isinstance(error, Forgotten):
        return 404, "This film or map is no longer in memory. Load the film again."
    if isinstance(error, Busy):
        return 503, "Too many computations are waiting. Cancel one or wait."
    if isinstance(error, InputError | ValueError):
        return 422, str(error)
    if isinstance(error, ImportError):
        return 501, str(error)
    if isinstance(error, MemoryError):
        return 507, "Not enough memory for this computation."
    return 500, "The computation failed."
