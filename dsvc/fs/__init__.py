"""The one seam for every write: files, folders, locks, failpoints."""
