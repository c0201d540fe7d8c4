"""From data sets to shards: which photo is in which, what is refused, and whose place an id is."""
