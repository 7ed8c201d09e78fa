"""The former name of `matex.audits`, for scripts that import its limits from here."""

from matex.audits import LIMITS, Audit, Check, Control, audit

__all__ = ["LIMITS", "Audit", "Check", "Control", "audit"]
