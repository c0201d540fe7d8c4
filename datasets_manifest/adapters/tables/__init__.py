"""Small formats of single data sets, native ones: one file a format, from its rows to what an adapter tells."""
