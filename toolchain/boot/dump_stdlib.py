"""Runs once inside componentize-py and hands out the standard library that belongs to its interpreter, as a zip file."""

import os
import pathlib
import zipfile

LIBRARY = "/python/"

with zipfile.ZipFile("/0/stdlib.zip", "w") as archive:
    for directory, _, files in sorted(os.walk(LIBRARY)):
        for name in sorted(files):
            path = os.path.join(directory, name)
            if name.endswith(".py") and "__pycache__" not in path:
                archive.writestr(zipfile.ZipInfo(path.removeprefix(LIBRARY)), pathlib.Path(path).read_bytes())
