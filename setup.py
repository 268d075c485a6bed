"""What a project of one's own begins with goes into the wheel: configs, the shipped models, the workspace.

`director init` copies them out again (`pipelines.surroundings.shipped`).  Everything else stands in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS, FILES = ("configs", "models/mini"), ("workspace.yaml",)


class BuildWithShipped(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the checkout has them
        shipped = Path(self.build_lib, "pipelines", "shipped")
        shutil.rmtree(shipped, ignore_errors=True)  # of a build before this
        for name in FOLDERS:
            shutil.copytree(name, shipped / name)
        for name in FILES:
            shutil.copyfile(name, shipped / name)


setup(cmdclass={"build_py": BuildWithShipped})
