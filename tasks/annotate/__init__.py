"""Annotation of one shard, step by step, and what surrounds it: plan, publication, failures, retry."""
