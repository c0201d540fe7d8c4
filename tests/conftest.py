"""Shared by all tests; its place makes `tests/body_files.py` importable."""
