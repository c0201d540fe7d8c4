"""Errors of predicted people against known truth."""
