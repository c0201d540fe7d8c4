"""GUAVA's renderer trained on: pairs of frames of one person, one checkpoint of the published layout."""
