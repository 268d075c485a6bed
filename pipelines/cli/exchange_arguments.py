"""Arguments of the commands that exchange with other tools: export, import, and init.

Belongs here: their words.  Each command's own module is imported when it is called: help should not wait for Dagster.
"""

import argparse
from typing import Any

from director_diffusion.errors import SpecError
from pipelines.cli.words import number, whole

LAYOUTS = ("diffusers", "kohya", "comfyui", "delta", "lora")
_OF_ADAPTERS, _OF_DATA_SETS = ("recipe", "layout", "rank"), ("repeats", "all_stills")


def add_exchange_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Put them among the subcommands of `director`."""
    _add_export(commands)
    _add_import(commands)
    init = commands.add_parser("init", help="a repository of one's own: configs, and what Dagster loads them by")
    init.add_argument("folder", metavar="FOLDER", help="a new one")
    init.add_argument("--project", default="demo", metavar="P", help="what it starts from (default: %(default)s)")
    init.add_argument("--deployment", default="local", metavar="D", help="where it runs (default: %(default)s)")
    init.set_defaults(command=_init)


def of_new_director(command: argparse.ArgumentParser) -> None:
    """What a director's YAML begins with."""
    command.add_argument("--name", help="as people write it (default: made of the slug)")
    command.add_argument("--trigger", help="the words that call the style (default: '<slug> style')")
    command.add_argument("--licence", help="where the stills come from and what may be done with them")


def _add_export(commands: "argparse._SubParsersAction[Any]") -> None:
    export = commands.add_parser("export", help="write a director's adapter, or stills and captions, for another tool")
    export.add_argument("director", metavar="DIRECTOR")
    export.add_argument("--recipe", metavar="R", help="needed for an adapter where the project has several")
    export.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="diffusers: a LoRA as it was trained; delta: the whole ΔW; lora: a LoKr as the LoRA nearest to it "
        "(default: diffusers)",
    )
    export.add_argument("--rank", type=whole(1, 4096), help="of layout lora (default: as high as it takes)")
    export.add_argument("--data-set", choices=("kohya", "imagefolder"), help="stills and captions, not an adapter")
    export.add_argument("--repeats", type=whole(1, 10_000), metavar="N", help="of a kohya data set (default: 10)")
    export.add_argument(
        "--all-stills",
        action="store_true",
        default=None,
        help="of a kohya data set: those too that choose steps and judge adapters, and so are held out of training",
    )
    export.add_argument(
        "--out", required=True, metavar="PATH", help="a file such as nolan.safetensors; of a data set, a new folder"
    )
    export.set_defaults(command=_export)


def _add_import(commands: "argparse._SubParsersAction[Any]") -> None:
    sources = commands.add_parser(
        "import", help="stills and captions from another tool's folder, or stills of a film"
    ).add_subparsers(required=True, metavar="SOURCE")

    kohya = sources.add_parser("kohya", help="<repeats>_<class> folders of pictures with captions beside them")
    kohya.add_argument("folder", metavar="FOLDER")
    _of_director(kohya, "the film that they are of (default: a film for each class)")
    kohya.add_argument(
        "--caption-extension", dest="captions", default=".txt", metavar="EXT", help="default: %(default)s"
    )
    _strip(kohya)
    kohya.set_defaults(command=_import_pictures, layout="kohya")

    imagefolder = sources.add_parser("imagefolder", help="pictures with a metadata.jsonl, as `datasets` reads them")
    imagefolder.add_argument("folder", metavar="FOLDER")
    _of_director(imagefolder, "the film that they are of (default: the `film` of each row)")
    imagefolder.add_argument(
        "--column", dest="captions", default="text", metavar="COLUMN", help="the captions' (default: %(default)s)"
    )
    _strip(imagefolder)
    imagefolder.set_defaults(command=_import_pictures, layout="imagefolder")

    film = sources.add_parser("film", help="the sharpest frame from the middle of every shot of a film's file")
    film.add_argument("file", metavar="FILE")
    _of_director(film, "its name (default: the file's)")
    film.add_argument(
        "--every", type=number(1, 86_400), metavar="SECONDS", help="of longer shots, one still for each such part"
    )
    film.add_argument(
        "--most", type=whole(1, 1_000_000), metavar="N", help="stills of the film at most, spread evenly over it"
    )
    film.set_defaults(command=_import_film)


def _of_director(command: argparse.ArgumentParser, film: str) -> None:
    command.add_argument("--director", required=True, metavar="SLUG", help="whose stills; added where not there yet")
    command.add_argument("--film", metavar="NAME", help=film)
    of_new_director(command)


def _strip(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strip", metavar="WORDS", help="a trigger that captions begin with, to be left out of them")


def _new(options: argparse.Namespace) -> dict[str, str | None]:
    return {"name": options.name, "trigger": options.trigger, "licence": options.licence}


def _export(options: argparse.Namespace) -> int:
    wrong = _OF_ADAPTERS if options.data_set else _OF_DATA_SETS
    given = [f"--{name.replace('_', '-')}" for name in wrong if getattr(options, name) is not None]
    if given:
        what = "an adapter, not of a data set" if options.data_set else "a data set, not of an adapter"
        raise SpecError(", ".join(given), f"is of {what}", "Leave it out, or look at `director export --help`.")
    if options.data_set:
        from pipelines.cli.export_data_set import export_data_set_command

        return export_data_set_command(
            options.director,
            data_set=options.data_set,
            repeats=options.repeats or 10,
            all_stills=bool(options.all_stills),
            out=options.out,
        )
    from pipelines.cli.export import export_command

    return export_command(
        options.director,
        recipe=options.recipe,
        layout=options.layout or "diffusers",
        rank=options.rank,
        out=options.out,
    )


def _init(options: argparse.Namespace) -> int:
    from pipelines.cli.init import init_command

    return init_command(options.folder, project=options.project, deployment=options.deployment)


def _import_pictures(options: argparse.Namespace) -> int:
    from pipelines.cli.imports import import_pictures_command

    return import_pictures_command(
        options.layout,
        options.folder,
        options.director,
        options.film,
        captions=options.captions,
        strip=options.strip,
        new=_new(options),
    )


def _import_film(options: argparse.Namespace) -> int:
    from pipelines.cli.imports import import_film_command

    return import_film_command(
        options.file, options.director, options.film, every=options.every, most=options.most, new=_new(options)
    )
