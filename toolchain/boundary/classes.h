// Classes of streams: what the SDK found when it looked at one, the functions that are its methods, and streams that are over and can be
// the next ones.
#ifndef CLASSES_H
#define CLASSES_H
#include "attributes.h"
#include "table.h"

// What is known of a class, once its first context was made: the SDK has looked at it (`set_class`).
enum {
  PLAIN = 1,  // it is made by its base class's constructor alone
  KEPT = 2,   // its contexts are kept until their end
  SILENT = 4, // and their end is nobody's concern
};
enum { TCP, HTTP, KINDS, MOST_CLASSES = 8, MOST_SPARES = 8 };
enum { MOST_CHANGES = 100 }; // of a class that changes more often, nothing is known any more

typedef struct {
  Look look;
  u32 kind, facts, changes;
  PyObject *methods[CALLBACKS]; // by callback; None if it has to be looked up each time
  int reusable;                 // its streams have nothing but the slots of their base class, and attributes
  u32 spare_count;
  PyObject *spares[MOST_SPARES];
} Class;
static Class classes[MOST_CLASSES];
static u32 class_count;

// Where the contexts of a kind have their attributes, in words; those that have no state have no place for it. And all their words.
static struct {
  u32 context_id, root, state, words;
} layouts[KINDS];

// By kind: the root's attribute that is the class of its streams, what is asked for a stream whose constructor raised, and what looks at
// a class anew that was changed.
static PyObject *class_names[KINDS], *unmade[KINDS], *look_again[KINDS];

// The class of the root that was asked for its streams' class: mostly the same one. Others have to come a few times before it is theirs.
enum { PATIENCE = 16 };
static struct {
  Look look;
  u32 changes, strangers;
  PyObject *classes[KINDS]; // that the class has; null if they have to be looked up each time
  i32 places[KINDS];        // of attributes of the root's own, in the list of names; less than 0 if no such root has one
} root_class;

static int class_changed(PyObject *type) {
  for (u32 i = 0; i < class_count; i++)
    if (classes[i].look.type == type) classes[i].look.current = 0;
  if (root_class.look.type == type) root_class.look.current = 0;
  return 0;
}

// ---- a stream's class

static void look_at_class(Class *known) {
  PyObject *type = known->look.type;
  for (u32 i = 0; i < CALLBACKS; i++) assign(&known->methods[i], 0);
  known->reusable = look_at(&known->look) && known->look.usual && known->look.words == layouts[known->kind].words &&
                    (known->look.named || !(PyType_GetFlags(type) & MANAGED_WEAKREF)) && !has_attribute(type, "__del__");
}

// A class was changed: 0 if it is known no more. The SDK calls `set_class` again.
static int look_at_class_again(Class *known) {
  if (known->changes == MOST_CHANGES) return 0;
  known->changes++;
  PyObject *error = PyErr_GetRaisedException(), *arguments[] = {0, known->look.type};
  PyObject *looked = PyObject_Vectorcall(look_again[known->kind], arguments + 1, 1 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (looked) Py_DecRef(looked);
  else known->changes = MOST_CHANGES, PyErr_Clear();
  if (error) PyErr_SetRaisedException(error);
  return looked != 0 && known->look.current;
}

static Class *find_class(PyObject *type) {
  for (u32 i = 0; i < class_count; i++)
    if (classes[i].look.type == type) return classes[i].look.current || look_at_class_again(&classes[i]) ? &classes[i] : 0;
  return 0;
}

// The same of one kind.
static Class *find_class_of(PyObject *type, u32 kind) {
  Class *known = find_class(type);
  return known && known->kind == kind ? known : 0;
}

static int take_numbers(PyObject *const *arguments, u32 *numbers, u32 count) {
  for (u32 i = 0; i < count; i++)
    if (!~(numbers[i] = PyLong_AsUnsignedLong(arguments[i])) && PyErr_Occurred()) return 0;
  return 1;
}

// set_class(class, kind, facts): once, and again if the class was changed
static PyObject *py_set_class(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 numbers[2], place = 0;
  if (count != 3) return usage("set_class(class, kind, facts)");
  if (!take_numbers(arguments + 1, numbers, 2)) return 0;
  while (place < class_count && classes[place].look.type != arguments[0]) place++;
  if (place == MOST_CLASSES) return new_none();
  Class *known = &classes[place];
  if (place == class_count) {
    class_count++;
    Py_IncRef(known->look.type = arguments[0]);
  }
  known->kind = numbers[0];
  known->facts = numbers[1];
  look_at_class(known);
  return new_none();
}

// The function that is a stream's method, a borrowed reference; 0 if it has to be looked up.
static PyObject *method_of(Class *known, PyObject *stream, u32 callback, PyObject *name) {
  if (!known->look.current || !known->look.usual || may_shadow(&known->look, stream)) return 0;
  PyObject **method = &known->methods[callback];
  if (!*method) {
    PyObject *found = class_attribute(known->look.type, name);
    assign(method, found && Py_TYPE(found) == function_type ? found : none);
  }
  return *method == none ? 0 : *method;
}

// ---- the class of a root's streams

// Whether an object that a class has is what one gets of it: a class, or nothing.
static int is_itself(PyObject *object) { return object && (object == none || Py_TYPE(object) == type_type); }

static void look_at_root(PyObject *type) {
  Look *look = &root_class.look;
  root_class.changes++;
  if (look->type != type) assign(&look->type, type), root_class.changes = 0;
  look_at(look);
  for (u32 kind = 0; kind < KINDS; kind++) {
    PyObject *found = class_names[kind] ? class_attribute(type, class_names[kind]) : 0;
    assign(&root_class.classes[kind], is_itself(found) ? found : 0);
  }
  look->seen = ~0u; // the names are looked at next
}

static void look_at_places(const u8 *names) {
  Look *look = &root_class.look;
  for (u32 kind = 0; kind < KINDS; kind++) root_class.places[kind] = -1;
  look->seen = count_names(names);
  for (u32 i = 0; i < look->seen; i++)
    for (u32 kind = 0; kind < KINDS; kind++)
      if (class_names[kind] && !PyUnicode_Compare(name_at(names, i), class_names[kind])) root_class.places[kind] = i;
}

// What a root has for an attribute: a new reference, or 0 with an exception.
static PyObject *class_of_streams(PyObject *root, u32 kind) {
  Look *look = &root_class.look;
  int is_stranger = look->type != Py_TYPE(root);
  if (is_stranger ? look->type && ++root_class.strangers < PATIENCE : !look->current && root_class.changes == MOST_CHANGES)
    return PyObject_GetAttr(root, class_names[kind]);
  if (is_stranger || !look->current) look_at_root(Py_TYPE(root));
  root_class.strangers = 0;
  PyObject *found = look->current && look->usual ? root_class.classes[kind] : 0;
  if (found && look->named) {
    const Attributes *attributes = attributes_of(look, root);
    const u8 *names = names_of(look);
    if (count_names(names) != look->seen) look_at_places(names);
    i32 place = root_class.places[kind];
    if (!attributes->valid) found = 0;
    else if (place >= 0 && attributes->objects[place]) found = attributes->objects[place];
  }
  if (!found) return PyObject_GetAttr(root, class_names[kind]);
  Py_IncRef(found);
  return found;
}

// ---- streams that are over

// Keeps a stream for the next one, or lets go of it: nobody else has it then, and it has nothing that the next one would not have.
static void let_go(Class *known, PyObject *stream) {
  const Look *look = &known->look;
  Attributes *attributes = look->named ? attributes_of(look, stream) : 0;
  int reusable = known->reusable && look->current && known->facts & PLAIN && *(u32 *)stream == 1 && known->spare_count < MOST_SPARES;
  if (!reusable || (attributes && (!attributes->valid || dictionary_of(stream) || weak_reference_of(stream)))) {
    Py_DecRef(stream);
    return;
  }
  if (attributes && attributes->size) {
    attributes->size = 0;
    for (u32 i = 0; i < attributes->capacity; i++) assign(&attributes->objects[i], 0);
  }
  u32 words[] = {layouts[known->kind].context_id, layouts[known->kind].root, layouts[known->kind].state};
  for (u32 i = 0; i < 3; i++)
    if (words[i]) assign(slot_of(stream, words[i]), 0);
  // An attribute's end may have run anything.
  if (*(u32 *)stream == 1 && known->spare_count < MOST_SPARES && !(attributes && attributes->size)) known->spares[known->spare_count++] = stream;
  else Py_DecRef(stream);
}

static PyObject *new_stream(Class *known) {
  return known->spare_count ? known->spares[--known->spare_count] : PyType_GenericAlloc(known->look.type, 0);
}
#endif
