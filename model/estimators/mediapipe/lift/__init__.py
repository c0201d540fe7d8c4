"""From landmarks to rotations of the body's joints."""
