"""The record of a run: aggregated scores, run log, response store, tables and the run's folder."""
