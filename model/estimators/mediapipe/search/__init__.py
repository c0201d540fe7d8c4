"""Where people, heads and hands are, and their landmarks in the photo."""
