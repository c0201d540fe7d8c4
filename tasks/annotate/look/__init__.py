"""Looks at a workspace: what is done, what failed, one label, all labels. Nothing is changed."""
