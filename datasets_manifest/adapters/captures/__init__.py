"""Where the cameras of published captures stand, and what the captures say of people in 3D, one module a format."""
