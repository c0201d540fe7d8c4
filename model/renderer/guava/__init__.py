"""GUAVA's renderer (Zhang et al., 2025), of its published weights: a person from one picture, in any pose; `renderer`.

The modules have the names of the published checkpoint. What it does not say, and what a reader would not guess, is in
`docs/render.md`.
"""
