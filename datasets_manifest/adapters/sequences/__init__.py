"""Pickles of whole sequences or sets of photos: one file a data set, from its arrays to what an adapter tells."""
