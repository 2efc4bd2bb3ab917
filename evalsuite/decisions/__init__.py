"""What two or more records mean: compare, gate, card, trend."""
