"""Rendered people with exact labels."""
