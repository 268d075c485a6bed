"""Floor 4: how the graph runs.

Belongs here: definitions, jobs, schedules, sensors, automation, executors and the `director` command.  Does not: any
stage's logic.
"""
