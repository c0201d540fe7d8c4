"""Splatting: pictures of 3D Gaussians, of any number of channels, with derivatives; see `draw`."""
