"""Judging labels: a verdict on a part of one of them, and samples of many whose share of wrong ones is estimated."""
