"""Recipes as data, installed as `evalsuite.prompts`: `<recipe>/<task>[.<format>].yaml`, and `recipe.yaml`."""
