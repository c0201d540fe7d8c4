"""MediaPipe's networks, run by LiteRT on regions of a photo."""
