"""Where CPython's structures have pointers to functions, for pointers of four bytes (Include/cpython/object.h, Include/typeslots.h)."""

from __future__ import annotations

SLOTS = (24, 32, 36, 44, 60, 64, 68, 72, 76, 92, 96, 100, 108, 112, 136, 140, 148, 152, 156, 160, 164, 196, 200)
"""The slots of a type that hold functions, by their offsets."""

TYPE, NAME, ATTRIBUTE, VECTORCALL = 4, 12, 72, 200
"""The offsets of a type's own type, its name, its `tp_getattro` and its `tp_vectorcall`."""

TABLES = {40: 16, 48: 144, 52: 40, 56: 12, 80: 8}
"""Where a type refers to further tables of functions, and how many bytes each has."""

_NUMBER_IDS = "7 36 29 34 10 33 30 32 6 9 27 28 35 8 38 31 26 0 11 14 23 18 21 20 17 22 15 25 19 12 37 16 24 13 75 76"

IDS = {int(i): 4 * n for n, i in enumerate(_NUMBER_IDS.split()) if i != "0"}
"""The offset that an id of a `PyType_Spec` stands for, in the type or in the table that the slot belongs to."""

IDS |= {52: 24, 57: 32, 68: 36, 66: 44, 59: 60, 50: 64, 70: 68, 58: 72, 69: 76, 71: 92, 51: 96, 67: 100, 62: 108}
IDS |= {63: 112, 54: 136, 55: 140, 60: 148, 47: 152, 65: 156, 74: 160, 61: 164, 80: 196, 82: 200, 1: 0, 2: 4, 3: 8}
IDS |= {4: 0, 5: 4, 77: 0, 78: 4, 79: 8, 81: 12, 39: 20, 40: 4, 41: 28, 42: 32, 43: 36, 44: 12, 45: 0, 46: 8}

LAST_ID = 83
"""The largest id of a `PyType_Spec`, of functions or of anything else."""

HEAP_TABLES = (208, 224, 368, 380, 420, 428)
"""Where a class of Python has the same tables, and where it ends."""

_ASYNC, _NUMBER, _MAPPING, _SEQUENCE, _BUFFER, _ = HEAP_TABLES

LANDMARKS = {
    "__repr__": IDS[66],
    "__init__": IDS[60],
    "__del__": IDS[80],
    "__await__": _ASYNC + IDS[77],
    "__anext__": _ASYNC + IDS[79],
    "__add__": _NUMBER + IDS[7],
    "__imatmul__": _NUMBER + IDS[76],
    "__getitem__": _MAPPING + IDS[5],
    "__contains__": _SEQUENCE + IDS[41],
    "__buffer__": _BUFFER + IDS[1],
    "__release_buffer__": _BUFFER + IDS[2],
}
"""Where typeobject.c's own list of slots has to say that a class has some of them: the build asks it."""

TYPE_VECTORCALL = "type_vectorcall"
"""The `tp_vectorcall` of `type` itself."""

WRAPPERS = (8, 12)
"""The offsets at which typeobject.c reads functions of its own list of slots (`struct wrapperbase`)."""

TYPE_SIZE = 208
"""How many bytes a type has."""

REFERENCES = 0x7000_0000
"""How many references a type of C has before it is made ready: `_Py_STATIC_IMMORTAL_INITIAL_REFCNT`."""

METHOD, ACCESSOR, SLOT, SPEC, MODULE = 16, 20, 8, 20, 52
"""How many bytes have a `PyMethodDef`, a `PyGetSetDef`, a slot of a module or of a `PyType_Spec`, that structure, and a `PyModuleDef`."""

MODULE_NAME, MODULE_METHODS, MODULE_SLOTS = 20, 32, 36
"""The offsets of a module's name, of its methods, and of its slots."""

SPEC_SLOTS = 16
"""The offset of a `PyType_Spec`'s slots."""
