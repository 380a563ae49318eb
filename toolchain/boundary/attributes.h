// Attributes that need not be looked up each time: what a class has is asked once, and again if CPython tells that the class was changed.
// An object may have an attribute of its own in its class's place. Whether an object of the class ever had one, the names of all
// attributes of such objects tell, of which the class keeps one list. toolchain/cpython/objects.py says how all that is laid out.
#ifndef ATTRIBUTES_H
#define ATTRIBUTES_H
#include "boundary.h"

// A class, and what is known of it.
typedef struct {
  PyObject *type;
  int current;      // it was not changed since it was looked at
  int usual;        // and `object` finds its objects' attributes, in the places below
  int named;        // its objects have attributes of any name
  u32 words;        // of an object, before these
  u32 seen;         // how many of the names were looked at
  int shadows;      // one of them begins as the names of callbacks do
} Look;

// An object's attributes of any name, behind the object. They are valid as long as no dictionary has them instead.
typedef struct {
  u8 capacity, size, embedded, valid;
  PyObject *objects[];
} Attributes;

static PyObject *type_type, *object_getattribute, *getattribute_name;
static int watcher;
static u32 names_word; // of a class: where it has the list of names

// What is kept before an object whose class has attributes of any name.
static PyObject **dictionary_place(PyObject *object) { return (PyObject **)object + DICT_WORD; }
static PyObject *dictionary_of(PyObject *object) { return *dictionary_place(object); }
static PyObject *weak_reference_of(PyObject *object) { return ((PyObject **)object)[WEAKREF_WORD]; }

static Attributes *attributes_of(const Look *look, PyObject *object) { return (Attributes *)slot_of(object, look->words); }

static const u8 *names_of(const Look *look) { return (const u8 *)*slot_of(look->type, names_word); }

static u32 count_names(const u8 *names) {
  u32 count;
  __builtin_memcpy(&count, names + KEYS_COUNT, sizeof count);
  return count;
}

static PyObject *name_at(const u8 *names, u32 index) {
  return ((PyObject **)(names + KEYS_INDICES + (1u << names[KEYS_LOG2_INDEX_BYTES])))[2 * index];
}

// What a class or one of its bases has under a name, whatever a look-up makes of that: a borrowed reference; 0 if there is nothing.
static PyObject *class_attribute(PyObject *type, PyObject *name) {
  PyObject *bases = PyObject_GetAttrString(type, "__mro__"), *found = 0;
  for (Py_ssize_t i = 0; bases && !found && i < PyTuple_Size(bases); i++) {
    PyObject *dict = PyType_GetDict(PyTuple_GetItem(bases, i));
    if (dict) found = PyDict_GetItemWithError(dict, name);
    Py_DecRef(dict);
  }
  Py_DecRef(bases);
  if (!found) PyErr_Clear();
  return found;
}

static int has_attribute(PyObject *type, const char *attribute) {
  PyObject *name = PyUnicode_InternFromString(attribute);
  int has = !name || class_attribute(type, name);
  Py_DecRef(name);
  return has;
}

static u32 number_attribute(PyObject *type, const char *attribute) {
  PyObject *number = PyObject_GetAttrString(type, attribute);
  u32 value = number ? PyLong_AsLong(number) : 0;
  Py_DecRef(number);
  return value;
}

// Looks at a class, and has CPython tell when it is changed: 0 if it does not any more.
static int look_at(Look *look) {
  PyObject *type = look->type;
  u32 flags = PyType_GetFlags(type);
  look->usual = look->named = look->shadows = 0;
  look->seen = 0;
  look->current = PyUnstable_Type_AssignVersionTag(type) && !PyType_Watch(watcher, type);
  if (!look->current) return PyErr_Clear(), 0;
  if (Py_TYPE(type) != type_type || class_attribute(type, getattribute_name) != object_getattribute) return 1;
  look->words = number_attribute(type, "__basicsize__") / sizeof(PyObject *);
  look->named = (flags & INLINE_VALUES) != 0;
  look->usual = look->named || (!(flags & MANAGED_DICT) && !number_attribute(type, "__dictoffset__"));
  return 1;
}

static void look_at_names(Look *look, const u8 *names) {
  for (u32 count = count_names(names); look->seen < count; look->seen++) {
    Bytes name;
    if (!take_bytes(name_at(names, look->seen), &name)) PyErr_Clear(), look->shadows = 1;
    else if (name.size > 3 && !memcmp(name.data, "on_", 3)) look->shadows = 1;
  }
}

// Whether an object may have an attribute of its own in place of a callback's method.
static int may_shadow(Look *look, PyObject *object) {
  if (!look->named) return 0;
  const Attributes *attributes = attributes_of(look, object);
  if (!attributes->valid) return 1;
  if (!attributes->size) return 0;
  const u8 *names = names_of(look);
  if (count_names(names) != look->seen) look_at_names(look, names);
  return look->shadows;
}

// ---- an example

// Whether objects are laid out as it is said above.
static int is_laid_out(PyObject *type, PyObject *object, PyObject *mark) {
  Look look = {type};
  PyObject *name = PyObject_GetAttrString(type, "__qualname__");
  for (u32 word = 2; word < CLASS_WORDS && !names_word; word++)
    if (*slot_of(type, word) == name) names_word = word + 1;
  Py_DecRef(name);
  if (!names_word || !look_at(&look) || !look.named || !look.usual || may_shadow(&look, object)) return 0;
  if (PyObject_SetAttrString(object, "on_mark", mark) || !may_shadow(&look, object)) return 0;
  const Attributes *attributes = attributes_of(&look, object);
  if (!attributes->valid || attributes->size != 1 || attributes->objects[0] != mark || count_names(names_of(&look)) != 1) return 0;
  PyObject *reference = PyWeakref_NewRef(object, 0), *dict = PyObject_GetAttrString(object, "__dict__");
  int found = reference && dict && weak_reference_of(object) == reference && dictionary_of(object) == dict;
  Py_DecRef(reference);
  Py_DecRef(dict);
  // What is watched is told of.
  return found && look.current;
}

static int start_attributes(int changed(PyObject *)) {
  PyObject *object_type = PyObject_GetAttrString(PyImport_AddModule("builtins"), "object"), *given[] = {0, 0, 0, 0};
  type_type = Py_TYPE(object_type);
  getattribute_name = PyUnicode_InternFromString("__getattribute__");
  object_getattribute = class_attribute(object_type, getattribute_name);
  watcher = PyType_AddWatcher(changed);
  given[1] = PyUnicode_FromString("Example");
  given[2] = PyTuple_New(0);
  given[3] = PyDict_New();
  PyObject *type = PyObject_Vectorcall(type_type, given + 1, 3 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  PyObject *object = type ? PyObject_Vectorcall(type, 0, 0, 0) : 0;
  if (!object || watcher < 0 || PyObject_SetAttrString(type, "__qualname__", given[2] = PyUnicode_FromString("An example"))) return 0;
  int found = is_laid_out(type, object, given[1]);
  Py_DecRef(object);
  Py_DecRef(type);
  return found;
}
#endif
