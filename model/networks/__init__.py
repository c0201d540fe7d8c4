"""Network architectures of the official estimators, under the parameter names of their checkpoints."""
