"""Untrusted YAML and JSON files, files that several processes share, and the user's cache folder."""
