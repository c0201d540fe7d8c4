"""What data there is (manifests, adapters, the image decoder) and what a label is (schema, shards on disk)."""
