"""The one way to a photo: folders, tar files, videos, and the strict decoder."""
