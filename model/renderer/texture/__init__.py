"""A renderer for any body: flat Gaussians on its mesh, coloured by a texture that was learnt over people."""
