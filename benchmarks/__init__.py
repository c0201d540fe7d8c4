"""Programs that compare the refinement with the methods it replaces; run from the root of the repository."""
