"""Entry point of `director`: arguments, and errors in one line."""

import argparse
import sys
from collections.abc import Sequence

from director_diffusion.errors import DirectorError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.  0: all is well; 1: something a person must mend; 2: wrong words on the command line."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except DirectorError as error:
        print(f"director: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("director: interrupted; what was finished is kept, run again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="director", description="From a director's stills to a style adapter.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="materialize the graph for some directors, in this process")
    run.add_argument("directors", nargs="*", metavar="SLUG", help="directors (default: all of the project)")
    run.add_argument("--recipe", metavar="R", help="one recipe (default: all of the project)")
    run.add_argument("--until", metavar="STAGE", help="stop after this stage, such as captions or adapter")
    run.add_argument("--json", action="store_true", help="print the table as JSON on stdout")
    run.set_defaults(command=_run)

    add = commands.add_parser("add", help="add a director: write the YAML, copy the stills into the store")
    add.add_argument("slug", metavar="SLUG", help="lower-case letters, digits and _")
    add.add_argument("--stills", required=True, metavar="FOLDER", help="folder of stills, or of one folder per film")
    add.add_argument("--name", help="as people write it (default: made of the slug)")
    add.add_argument("--trigger", help="the words that call the style (default: '<slug> style')")
    add.add_argument(
        "--licence", default="not stated", help="where the stills come from and what may be done with them"
    )
    add.set_defaults(command=_add)

    doctor = commands.add_parser("doctor", help="what this machine has and lacks, and how to mend it")
    doctor.set_defaults(command=_doctor)

    dev = commands.add_parser("dev", help="Dagster UI and daemon on loopback")
    dev.add_argument("--port", type=int, default=3000)
    dev.set_defaults(command=_dev)

    pin = commands.add_parser("pin", help="write the Hub's current revision of a base into its YAML")
    pin.add_argument("base", metavar="BASE")
    pin.set_defaults(command=_pin)
    return parser


# Subcommands are imported when called: `director --help` should not wait for Dagster.


def _run(options: argparse.Namespace) -> int:
    from pipelines.cli.run import run_command

    return run_command(options.directors, recipe=options.recipe, until=options.until, as_json=options.json)


def _add(options: argparse.Namespace) -> int:
    from pipelines.cli.add import add_command

    return add_command(
        options.slug, stills=options.stills, name=options.name, trigger=options.trigger, licence=options.licence
    )


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.cli.doctor import doctor_command

    return doctor_command()


def _dev(options: argparse.Namespace) -> int:
    from pipelines.cli.dev import dev_command

    return dev_command(port=options.port)


def _pin(options: argparse.Namespace) -> int:
    from pipelines.cli.pin import pin_command

    return pin_command(options.base)


if __name__ == "__main__":
    sys.exit(main())
