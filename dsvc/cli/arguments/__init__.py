"""Words of the command line that name something: paths, rows, revisions, targets of lineage."""
