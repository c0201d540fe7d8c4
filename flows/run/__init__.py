"""The order of a run and who runs its parts."""
