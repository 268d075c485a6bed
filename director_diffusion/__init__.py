"""director-diffusion's library: from film stills to an evaluated style adapter, with no orchestrator in sight.

Belongs here: the science, typed and usable from a notebook. Does not: Dagster, settings from environment variables,
knowledge of where `configs/` lies, or global state; those live on the floors above (`resources`, `assets_defs`,
`pipelines`).  Variables are set here only where torch, accelerate or a driver takes no other word, in processes of its
own or for a moment.
"""

__version__ = "0.1.0"
