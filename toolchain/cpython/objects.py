"""How CPython lays out objects, classes and the names of attributes: what the boundary reads without asking (attributes.h).

The boundary looks at an example when CPython starts, and the build stops if one of these is not so.
"""

from __future__ import annotations

OBJECTS = {
    # An object's first two words are its count of references and its type. From this count on it is immortal.
    "IMMORTAL": 1 << 30,
    # `tp_flags` of a class whose instances have their attributes behind themselves, and of one whose instances can have weak references.
    "INLINE_VALUES": 1 << 2,
    "MANAGED_WEAKREF": 1 << 3,
    "MANAGED_DICT": 1 << 4,
    # Words before an instance: its dictionary, which is made if somebody asks for it, and the first weak reference.
    "DICT_WORD": -3,
    "WEAKREF_WORD": -4,
    # `PyDictKeysObject` of a class: the names of its instances' attributes. Bytes of its fields.
    "KEYS_LOG2_INDEX_BYTES": 5,
    "KEYS_COUNT": 16,
    "KEYS_INDICES": 20,
    # How many words of a class are searched for its qualified name, behind which is the pointer to these names.
    "CLASS_WORDS": 256,
}
"""`Include/internal/pycore_dict.h` and `pycore_object.h`, with the interpreter's lock and pointers of 32 bits."""
