"""Loads a model from its files and checks that no weight is missing, misshapen or left over."""
