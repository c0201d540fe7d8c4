"""People as published records have them: one file a kind of record, from its arrays to what an adapter tells."""
