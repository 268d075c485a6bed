"""Entry point of `director`: arguments, and errors in one line."""

import argparse
import sys
from collections.abc import Sequence

from director_diffusion.errors import DirectorError
from pipelines.cli.drawing_arguments import add_drawing_commands
from pipelines.cli.exchange_arguments import add_exchange_commands, of_new_director
from pipelines.cli.release_arguments import add_release_commands
from pipelines.cli.words import number, whole
from resources.secrets import hide_in_logs, without_secrets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.  0: all is well; 1: something a person must mend; 2: wrong words on the command line."""
    options = _parser().parse_args(arguments)
    hide_in_logs()
    try:
        with without_secrets():
            return int(options.command(options))
    except DirectorError as error:
        print(f"director: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        what = str(interrupt) or "interrupted; what was finished is kept, run again to go on"
        print(f"director: {what}.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="director", description="From a director's stills to a style adapter.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="materialize the graph for some directors, without the UI")
    run.add_argument("directors", nargs="*", metavar="SLUG", help="directors (default: all of the project)")
    run.add_argument("--recipe", metavar="R", help="one recipe (default: all of the project)")
    run.add_argument("--until", metavar="STAGE", help="stop after this stage, such as captions or adapter")
    run.add_argument(
        "--at-once", type=whole(1, 64), metavar="N", help="directors side by side (default: as the deployment says)"
    )
    _of_gpus(run)
    run.add_argument("--json", action="store_true", help="print the table as JSON on stdout")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="what `run` would make, why, and what it would take, before it runs")
    plan.add_argument("directors", nargs="*", metavar="SLUG", help="directors (default: all of the project)")
    plan.add_argument("--recipe", metavar="R", help="one recipe (default: all of the project)")
    plan.add_argument("--json", action="store_true", help="print it as JSON on stdout")
    plan.set_defaults(command=_plan)

    joint = commands.add_parser("joint", help="one adapter of all directors, beside the one of each; after `run`")
    joint.add_argument("--recipe", metavar="R", help="one recipe (default: all of the project that ask for it)")
    _of_gpus(joint)
    joint.add_argument("--json", action="store_true", help="print the overview as JSON on stdout")
    joint.set_defaults(command=_joint)

    add = commands.add_parser("add", help="add a director: write the YAML, copy the stills into the store")
    add.add_argument("slug", metavar="SLUG", help="lower-case letters, digits and _")
    add.add_argument("--stills", required=True, metavar="FOLDER", help="folder of stills, or of one folder per film")
    of_new_director(add)
    add.set_defaults(command=_add)

    doctor = commands.add_parser("doctor", help="what this machine has and lacks, and how to mend it")
    doctor.set_defaults(command=_doctor)

    dev = commands.add_parser("dev", help="Dagster UI and daemon on loopback")
    dev.add_argument("--port", type=int, default=3000)
    dev.set_defaults(command=_dev)

    app = commands.add_parser("app", help="the studio in a browser: look, compare, curate and vote")
    app.add_argument("--host", default="127.0.0.1", help="other than loopback needs --users (default: %(default)s)")
    app.add_argument("--port", type=whole(0, 65535), default=7860, help="default: %(default)s; 0: any that is free")
    app.add_argument("--users", metavar="FILE", help="who may come in, by name and password")
    app.set_defaults(command=_app)

    user = commands.add_parser("app-user", help="add a name and a password to the studio's file of users")
    user.add_argument("name", metavar="NAME")
    user.add_argument("--users", required=True, metavar="FILE")
    user.set_defaults(command=_app_user)

    pin = commands.add_parser(
        "pin", help="write the Hub's current revisions of a base, recipe, plan or project into its YAML"
    )
    pin.add_argument("slug", metavar="SLUG", help="of a base, a recipe, an evaluation plan or a project")
    pin.set_defaults(command=_pin)

    pick = commands.add_parser("pick", help="choose the step of a training that becomes the adapter")
    pick.add_argument("director", metavar="DIRECTOR")
    pick.add_argument("--recipe", metavar="R", help="needed where the project has several")
    what = pick.add_mutually_exclusive_group()
    what.add_argument("--step", type=whole(1, 10**9), metavar="N", help="a checkpoint's; without it they are listed")
    what.add_argument("--clear", action="store_true", help="leave the choice to the held-out loss again")
    pick.add_argument("--strength", type=_strength, metavar="S", help="of the adapter (default: 1)")
    pick.add_argument("--who", help="who chose (default: the name of this machine's user)")
    pick.add_argument("--why", metavar="TEXT", help="a remark that stays with the choice")
    pick.set_defaults(command=_pick)

    add_exchange_commands(commands)
    add_release_commands(commands)

    build = commands.add_parser("build-base", help="train a base of the project from scratch, in this process")
    build.add_argument("base", metavar="BASE")
    build.add_argument("--part", metavar="PART", help="train and keep this part alone, such as vae or captioner")
    build.add_argument("--export", metavar="FOLDER", help="copy the finished set there, in place of what it holds")
    build.set_defaults(command=_build_base)

    collect = commands.add_parser("gc", help="remove old versions and cached items, by a retention policy")
    collect.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")
    collect.add_argument("--yes", action="store_true", help="remove without asking; needed where nobody can be asked")
    collect.add_argument(
        "--keep-days",
        type=number(0, 36500),
        default=30,
        metavar="N",
        help="keep what is younger (default: %(default)s)",
    )
    collect.add_argument(
        "--keep-versions",
        type=whole(1, 1000),
        default=3,
        metavar="N",
        help="keep so many newest of each asset and director (default: %(default)s)",
    )
    collect.add_argument("--json", action="store_true", help="print it as JSON on stdout; asks nobody")
    collect.set_defaults(command=_gc)

    out = commands.add_parser("withdraw", help="take stills, and all that was made of them, out of the store for good")
    out.add_argument("director", metavar="DIRECTOR")
    out.add_argument(
        "stills", nargs="+", metavar="STILL", help="<film>/<file>, a hash, a still's id, or the file itself"
    )
    out.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")
    out.add_argument("--yes", action="store_true", help="remove without asking; needed where nobody can be asked")
    people = out.add_mutually_exclusive_group()
    people.add_argument("--source", action="store_true", help="the file that people put there too, and those beside it")
    people.add_argument("--source-to", metavar="FOLDER", help="move those out of the store, to a folder")
    out.add_argument("--who", help="who withdraws (default: the name of this machine's user)")
    out.add_argument("--json", action="store_true", help="print it as JSON on stdout; asks nobody")
    out.set_defaults(command=_withdraw)

    add_drawing_commands(commands)
    return parser


def _of_gpus(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--gpus",
        type=whole(1, 1024),
        metavar="N",
        help="GPUs that one director's training, and the drawing of its samples, may share; on a deployment without "
        "GPUs, processes of the CPU (default: training as the deployment says, drawing 1)",
    )


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = 0.0
    if not 0 < strength <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no strength above 0 and at most 2")
    return strength


# Subcommands are imported when called: `director --help` should not wait for Dagster.


def _run(options: argparse.Namespace) -> int:
    from pipelines.cli.run import run_command

    return run_command(
        options.directors,
        recipe=options.recipe,
        until=options.until,
        at_once=options.at_once,
        gpus=options.gpus,
        as_json=options.json,
    )


def _plan(options: argparse.Namespace) -> int:
    from pipelines.cli.plan import plan_command

    return plan_command(options.directors, recipe=options.recipe, as_json=options.json)


def _joint(options: argparse.Namespace) -> int:
    from pipelines.cli.joint import joint_command

    return joint_command(options.recipe, gpus=options.gpus, as_json=options.json)


def _add(options: argparse.Namespace) -> int:
    from pipelines.cli.add import add_command

    return add_command(
        options.slug,
        stills=options.stills,
        name=options.name,
        trigger=options.trigger,
        licence=options.licence,
    )


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.cli.doctor import doctor_command

    return doctor_command()


def _dev(options: argparse.Namespace) -> int:
    from pipelines.cli.dev import dev_command

    return dev_command(port=options.port)


def _app(options: argparse.Namespace) -> int:
    from pipelines.cli.app import app_command

    return app_command(host=options.host, port=options.port, users=options.users)


def _app_user(options: argparse.Namespace) -> int:
    from pipelines.cli.app import app_user_command

    return app_user_command(options.name, users=options.users)


def _pin(options: argparse.Namespace) -> int:
    from pipelines.cli.pin import pin_command

    return pin_command(options.slug)


def _pick(options: argparse.Namespace) -> int:
    from pipelines.cli.pick import pick_command

    return pick_command(
        options.director,
        recipe=options.recipe,
        step=options.step,
        strength=options.strength,
        who=options.who,
        why=options.why,
        clear=options.clear,
    )


def _build_base(options: argparse.Namespace) -> int:
    from pipelines.cli.build_base import build_base_command

    return build_base_command(options.base, part=options.part, export=options.export)


def _gc(options: argparse.Namespace) -> int:
    from pipelines.cli.gc import gc_command

    return gc_command(
        dry_run=options.dry_run,
        yes=options.yes,
        keep_days=options.keep_days,
        keep_versions=options.keep_versions,
        as_json=options.json,
    )


def _withdraw(options: argparse.Namespace) -> int:
    from pipelines.cli.withdraw import withdraw_command

    return withdraw_command(
        options.director,
        options.stills,
        dry_run=options.dry_run,
        yes=options.yes,
        source=options.source,
        source_to=options.source_to,
        who=options.who,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
