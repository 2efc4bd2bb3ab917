"""A run: builds requests, stores the model's answers, scores them and writes the results."""
