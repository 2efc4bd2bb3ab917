"""A run: documents asked, answers kept, verdicts given, the record written."""
