"""GUAVA's renderer trained on: pairs of photos of one person, one checkpoint of the published layout."""
