"""Files that others may have written, and files that several processes share."""
