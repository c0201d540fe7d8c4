"""TEASER and SMIRK: FLAME parameters of a face from a crop, with the official checkpoints.

- ``network``: the encoders, under the names of the checkpoints;
- ``region``: the square of the photo that a face is cut from;
- ``face``: the estimators ``teaser`` and ``smirk`` of the part ``face``.
"""
