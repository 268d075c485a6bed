"""Arguments of the commands about what goes out: sign-off, promote, rollback, releases and trace.

Belongs here: their words.  Each command's own module is imported when it is called: help should not wait for Dagster.
"""

import argparse
from typing import Any


def add_release_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Put them among the subcommands of `director`."""
    sign_off = commands.add_parser("sign-off", help="answer for an adapter that its verdict withholds")
    _of_adapter(sign_off)
    _by(sign_off, "without --who and --why, the verdict and who has signed are listed")
    sign_off.add_argument("--clear", action="store_true", help="take the sign-off of the newest adapter back")
    sign_off.set_defaults(command=_sign_off)

    promote = commands.add_parser("promote", help="make a published adapter live, and deliver it")
    _of_adapter(promote)
    promote.add_argument("--version", metavar="V", help="its first digits (default: what was published last)")
    _by(promote, "who promotes and why", required=True)
    promote.set_defaults(command=_promote)

    rollback = commands.add_parser("rollback", help="make live again what was so before, and deliver it")
    _of_adapter(rollback)
    rollback.add_argument("--to", metavar="V", help="first digits of a version further back (default: the one before)")
    _by(rollback, "who goes back and why", required=True)
    rollback.set_defaults(command=_rollback)

    releases = commands.add_parser("releases", help="which adapters are live, since when and by whom")
    releases.add_argument("directors", nargs="*", metavar="SLUG", help="directors (default: all of the project)")
    releases.add_argument("--recipe", metavar="R", help="one recipe (default: all of the project)")
    releases.add_argument("--history", action="store_true", help="what was live before, too")
    releases.add_argument("--json", action="store_true", help="print it as JSON on stdout")
    releases.set_defaults(command=_releases)

    trace = commands.add_parser("trace", help="what an adapter was made of, or what a still went into")
    what = trace.add_mutually_exclusive_group(required=True)
    what.add_argument("given", nargs="?", metavar="FILE-OR-REPO", help="an adapter's file, or a published repository")
    what.add_argument("--still", metavar="HASH", help="a still's id, its file's SHA-256, or that file")
    trace.add_argument("--json", action="store_true", help="print all of it as JSON on stdout")
    trace.set_defaults(command=_trace)


def _of_adapter(command: argparse.ArgumentParser) -> None:
    command.add_argument("director", metavar="DIRECTOR")
    command.add_argument("--recipe", metavar="R", help="needed where the project has several")


def _by(command: argparse.ArgumentParser, told: str, *, required: bool = False) -> None:
    """A signature is a name given on purpose, so it has no default."""
    command.add_argument("--who", metavar="NAME", required=required, help=told)
    command.add_argument("--why", metavar="TEXT", required=required, help="the reason, which stays in the record")


def _sign_off(options: argparse.Namespace) -> int:
    from pipelines.cli.sign_off import sign_off_command

    return sign_off_command(
        options.director, recipe=options.recipe, who=options.who, why=options.why, clear=options.clear
    )


def _promote(options: argparse.Namespace) -> int:
    from pipelines.cli.promote import promote_command

    return promote_command(
        options.director, recipe=options.recipe, version=options.version, who=options.who, why=options.why
    )


def _rollback(options: argparse.Namespace) -> int:
    from pipelines.cli.rollback import rollback_command

    return rollback_command(options.director, recipe=options.recipe, to=options.to, who=options.who, why=options.why)


def _releases(options: argparse.Namespace) -> int:
    from pipelines.cli.releases import releases_command

    return releases_command(options.directors, recipe=options.recipe, history=options.history, as_json=options.json)


def _trace(options: argparse.Namespace) -> int:
    from pipelines.cli.trace import trace_command

    return trace_command(options.given, still=options.still, as_json=options.json)
