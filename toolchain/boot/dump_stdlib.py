"""Runs once inside componentize-py and hands out the standard library of the CPython there, as a zip file.

What CPython needs before it can ask for anything comes as marshalled code too, and as a title and source.
"""

import marshal
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
    # A line each: a name, and where its source is (runtime/componentize.py writes it).
    for line in pathlib.Path("/0/started_with.txt").read_text().splitlines():
        name, path = line.split(" ")
        source = pathlib.Path(path).read_bytes()
        # CPython knows the frames of its own import system by these titles.
        title = f"<frozen {name.replace('_frozen_importlib', 'importlib._bootstrap')}>"
        code = compile(source, title, "exec", dont_inherit=True)
        archive.writestr(zipfile.ZipInfo(f"frozen/{name}"), marshal.dumps(code))
        archive.writestr(zipfile.ZipInfo(f"frozen/{name}.py"), title.encode() + b"\0" + source)
