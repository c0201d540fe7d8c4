"""Two sets of labels of the same photos, person by person: what moved, what agrees, who disagrees most."""
