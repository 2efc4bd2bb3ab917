"""Tasks and recipes, and how a task address finds them."""
