"""The page that a person looks at after a run."""
