"""A run as a whole: what it would do, who is at it, its journal, publication, doing shards again."""
