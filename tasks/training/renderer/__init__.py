"""Learning a renderer of people: settings in, one file out."""
