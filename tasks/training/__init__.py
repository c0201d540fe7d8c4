"""Training: one engine, one experiment a folder."""
