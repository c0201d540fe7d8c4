"""What estimators refuse, as codes."""


def codes_of(output):
    """Error codes of an output's reasons, as nested as they are; each reason says something."""
    return [_code(reason) for reason in output.reasons]


def _code(reason):
    if isinstance(reason, tuple):
        return tuple(_code(own) for own in reason)
    if reason is None:
        return None
    assert reason.detail
    return str(reason.code)
