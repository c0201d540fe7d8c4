"""People of photos and of frames in the formats of others: many people, one file."""
