"""Does a map reflect the model, or the prior, the film, or nothing? Controls of one explanation, checks, a verdict.

The package is not called audit, since importing it would hide the function `matex.audit`.
"""

from matex.audit_results import Audit, Check, Control
from matex.audits.limits import LIMITS
from matex.audits.run import audit

__all__ = ["LIMITS", "Audit", "Check", "Control", "audit"]
