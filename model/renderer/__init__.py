"""Drawing: a mesh rasteriser, the look of synthetic people, overlays for reports."""
