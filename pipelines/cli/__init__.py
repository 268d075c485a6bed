"""The `director` command: what the Dagster CLI does not do.  One module per subcommand."""
