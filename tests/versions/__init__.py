"""The lowest and the newest versions of all requirements, in environments of their own, for `make`."""
