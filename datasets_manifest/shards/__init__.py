"""Shards on disk: written whole or not at all, checked as a whole, selected for training."""
