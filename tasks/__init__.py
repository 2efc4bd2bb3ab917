"""Built-in task plug-ins, one short module per benchmark family; installed as `evalsuite.tasks`.

A module defines `TASKS`, a list of `evalsuite.task.Task`.
"""
