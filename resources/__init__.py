"""Floor 2: the outside world, as Dagster resources, and the `@stage` decorator that reuses what exists.

Belongs here: the store, the IO manager, models, the hub, what a step knows of its machine.  Does not: stage logic.
"""
