"""Photos as networks see them: boxes, square crops, cameras."""
