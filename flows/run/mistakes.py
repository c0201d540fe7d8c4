"""What the user can mend: such an error is one sentence, with a server as without."""

MISTAKES = (ValueError, ImportError, FileNotFoundError, PermissionError)
"""Errors of settings, data sets and files that are not there."""
REFUSED = "Refused"
"""Name of the failed state of a flow run that ended with one of these."""
