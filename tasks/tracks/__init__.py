"""Who is who over the frames of a clip."""
