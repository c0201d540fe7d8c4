"""Who is who over the frames of a clip, and which tracks of several cameras are one person."""
