"""Many replicas of an engine, each in a process of its own, on one machine or many (Ray)."""
