"""The Prefect server of a folder: processes, work pool, limits, deployment."""
