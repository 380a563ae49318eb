"""How objects keep their attributes: what `boundary/latest_router.h` knows of it. It makes sure of what it finds there."""

from __future__ import annotations

MANAGED_DICT = 3
"""`MANAGED_DICT_OFFSET`: how many words before an object its dictionary is noted. It has none as long as its attributes are in itself."""

INLINE_VALUES = 1 << 2
"""`Py_TPFLAGS_INLINE_VALUES`: the type's objects can have them in themselves, behind what the type calls its basic size."""
