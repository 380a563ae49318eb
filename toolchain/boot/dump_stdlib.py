"""Runs once inside componentize-py and hands out the standard library that belongs to its interpreter, as a zip file.

What the interpreter needs before it can ask for anything comes as marshalled code too, and as a title and source.
"""

import marshal
import os
import pathlib
import zipfile

LIBRARY = "/python/"
FROZEN = {
    "_frozen_importlib": "/python/importlib/_bootstrap.py",
    "_frozen_importlib_external": "/python/importlib/_bootstrap_external.py",
    "zipimport": "/python/zipimport.py",
    "encodings": "/python/encodings/__init__.py",
    "encodings.aliases": "/python/encodings/aliases.py",
    "encodings.utf_8": "/python/encodings/utf_8.py",
    "codecs": "/python/codecs.py",
    "abc": "/python/abc.py",
    "site": "/python/site.py",
    "os": "/python/os.py",
    "stat": "/python/stat.py",
    "posixpath": "/python/posixpath.py",
    "genericpath": "/python/genericpath.py",
    "_collections_abc": "/python/_collections_abc.py",
    "_sitebuiltins": "/python/_sitebuiltins.py",
    "boot": "/0/boot.py",
}

with zipfile.ZipFile("/0/stdlib.zip", "w") as archive:
    for directory, _, files in sorted(os.walk(LIBRARY)):
        for name in sorted(files):
            path = os.path.join(directory, name)
            if name.endswith(".py") and "__pycache__" not in path:
                archive.writestr(zipfile.ZipInfo(path.removeprefix(LIBRARY)), pathlib.Path(path).read_bytes())
    for name, path in FROZEN.items():
        source = pathlib.Path(path).read_bytes()
        # CPython knows the frames of its own import system by these titles.
        title = f"<frozen {name.replace('_frozen_importlib', 'importlib._bootstrap')}>"
        code = compile(source, title, "exec", dont_inherit=True)
        archive.writestr(zipfile.ZipInfo(f"frozen/{name}"), marshal.dumps(code))
        archive.writestr(zipfile.ZipInfo(f"frozen/{name}.py"), title.encode() + b"\0" + source)
