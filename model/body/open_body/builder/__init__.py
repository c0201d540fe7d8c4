"""The builder of the open body; nothing here is needed to use it."""
