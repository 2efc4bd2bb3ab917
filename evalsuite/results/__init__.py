"""From samples to a run log, tables, and the run's folder."""
