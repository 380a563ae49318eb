"""What the toolchain knows of CPython, its libc and componentize-py that no interface promises. A new version may change each of it.

Everything else here works with what CPython's stable C API, the language and WebAssembly promise. So a new CPython, or a new
componentize-py, needs this folder read again, and as a rule nothing else. A build fails in this order if something here is wrong:

    component.py    componentize-py's parameters, the libraries, their symbols     runtime/componentize.py, layout.py, boundary/wasi.c
    types.py        where CPython's types have their functions                     guard/types.py
    recursion.py    who checks the stack, and why others need not                  guard/recursion.py, guard/stackguard.py
    waiting.py      CPython's functions that wait                                  runtime/waits.py, waits.c
    start.py        modules that CPython needs first, its limits in C              runtime/start.py, start.c, boot/dump_stdlib.py
    objects.py      how objects and the names of their attributes are laid out     boundary/attributes.h
    heap.py         how a free chunk looks                                         vm/heap.py
    imports.py      what C code imports                                            vm/late.py

All of them are checked. A name that is not there, or is there twice, stops the build with its name. A circle of calls that no table
breaks stops it too. What no build can see, a test does: `//tests/host:late` looks for imports in the C code, and
`//tests/host:recursion` goes down every way that is known.

What must be kept in sync: `header.py`, which gives the C files their part of this as `cpython.h`. What they know on their own is CPython's
stable API, and three structures. `Frozen` in start.c is CPython's `_frozen`. `limit_recursion` in boundary.h and `find_calls` in
guard/recursion.c search the thread state. An object's head is two words in the boundary's headers, behind which its slots are looked for.
CONTRIBUTING.md has the steps to a new CPython.
"""
