"""What can be run: tasks, recipes, and how an address finds them."""
