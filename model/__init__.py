"""Body models, estimators, rendering and rotation maths; knows no dataset, no flow and no user path."""
