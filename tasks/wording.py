"""Words for numbers."""


def counted(count: int, noun: str) -> str:
    """``1 shard``, ``2 shards``."""
    return f"{count} {noun}{'s' * (count != 1)}"
