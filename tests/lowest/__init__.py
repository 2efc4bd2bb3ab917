"""The lowest versions that evalsuite supports, in an environment of their own, for `make test-lowest`."""
