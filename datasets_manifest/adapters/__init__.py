"""One small file per data format; each lists its images and people."""
