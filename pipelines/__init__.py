"""Floor 4: how the graph runs: definitions, jobs, schedules, sensors, automation, executors and the `director` command.

Does not belong here: any stage's logic.
"""
