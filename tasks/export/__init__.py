"""Labels in the formats of others: one track, one file."""
