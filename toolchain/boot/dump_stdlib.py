"""Runs once inside componentize-py and hands out the standard library that belongs to its interpreter, as a zip file.

What the interpreter needs before it can ask for anything comes as marshalled code too.
"""

import marshal
import os
import pathlib
import zipfile

LIBRARY = "/python/"
FROZEN = {
    "encodings": "/python/encodings/__init__.py",
    "encodings.aliases": "/python/encodings/aliases.py",
    "encodings.utf_8": "/python/encodings/utf_8.py",
    "boot": "/0/boot.py",
}

with zipfile.ZipFile("/0/stdlib.zip", "w") as archive:
    for directory, _, files in sorted(os.walk(LIBRARY)):
        for name in sorted(files):
            path = os.path.join(directory, name)
            if name.endswith(".py") and "__pycache__" not in path:
                archive.writestr(zipfile.ZipInfo(path.removeprefix(LIBRARY)), pathlib.Path(path).read_bytes())
    for name, path in FROZEN.items():
        code = compile(pathlib.Path(path).read_bytes(), f"<frozen {name}>", "exec", dont_inherit=True)
        archive.writestr(zipfile.ZipInfo(f"frozen/{name}"), marshal.dumps(code))
