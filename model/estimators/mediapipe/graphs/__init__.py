"""MediaPipe's own graphs, run on regions of a photo."""
