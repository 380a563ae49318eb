// The router that the last connection came to, nearly always the next one's too. What a connection reads lies side by side: each cache line
// that it touches costs more than a hundred instructions.
#ifndef LATEST_ROUTER_H
#define LATEST_ROUTER_H
#include "attributes.h"

typedef PyObject *Vectorcall(PyObject *, PyObject *const *, u32, PyObject *);
Vectorcall *PYTHON(PyVectorcall_Function)(PyObject *);
int PYTHON(PyObject_GenericSetAttr)(PyObject *, PyObject *, PyObject *);
Py_ssize_t PYTHON(PyObject_Hash)(PyObject *);

// A cluster that was chosen of late, the very object, and its target.
typedef struct {
  PyObject *cluster;
  const char *message;
  u32 size : 31, has_property : 1, counter;
} Chosen;

enum { CHOSEN = 8, IPV4 = 4 };
static struct {
  // The root's number, its router, and where in the root that is: as long as `*dict` is null the root has its attributes in itself.
  u32 root_id;
  PyObject *router, **place, **dict;
  // The router's function, if it is one of Python's, and what calls it.
  PyObject *choose;
  Vectorcall *call;
  // An IPv4 address for the function: the object of the connection before, if nobody has kept that.
  PyObject *source;
  // The router's dictionary of targets when the clusters below were looked up there, and which of them makes room next.
  PyObject *targets;
  Chosen chosen[CHOSEN];
  u32 next;
} latest_router HOT LINE;

// The messages' objects: they keep the clusters' messages alive.
static PyObject *chosen_targets[CHOSEN];

// ---- the root's router

// Finds a root's router where objects keep their attributes, and makes sure of it: what is found changes with the attribute.
static PyObject **find_place(PyObject *root, PyObject *name, PyObject *router) {
  PyObject *type = Py_TYPE(root);
  u32 words = number_attribute(type, "__basicsize__") / sizeof(PyObject *);
  if (!words || !(PyType_GetFlags(type) & INLINE_VALUES) || *latest_router.dict) return 0;
  Attributes *attributes = (Attributes *)slot_of(root, words);
  u64 found = 0;
  u32 room = attributes->capacity;
  PyObject **place = attributes->objects, **result = 0;
  for (u32 i = 0; i < room && i < 64; i++) found |= (u64)(place[i] == router) << i;
  // The router may be another attribute's value too, or that of the class.
  if (!found || PyObject_GenericSetAttr(root, name, none)) return 0;
  for (u32 i = 0; i < 64; i++)
    if (found >> i & 1 && place[i] == none) result = place + i;
  return PyObject_GenericSetAttr(root, name, result ? router : 0) ? 0 : result;
}

// Notes a root's router for the next connection, and where it is if that one comes to it too: where roots take turns, nothing is looked for.
// The attribute may be elsewhere: that is noted too.
static void know_router(u32 root_id, PyObject *root, PyObject *name, PyObject *router) {
  if (latest_router.root_id != root_id || latest_router.router != router) {
    latest_router.root_id = root_id;
    assign(&latest_router.router, router);
    latest_router.place = latest_router.dict = 0;
  } else if (!latest_router.dict) {
    latest_router.dict = dictionary_place(root);
    latest_router.place = find_place(root, name, router);
    PyErr_Clear();
  }
}

static void forget_router(u32 root_id) {
  if (latest_router.root_id == root_id) latest_router.root_id = 0;
}

// Whether the root with this number still has this router.
static int has_known_router(u32 root_id) {
  return latest_router.root_id == root_id && latest_router.place && *latest_router.place == latest_router.router && !*latest_router.dict;
}

// ---- its function

static PyObject *call_function(PyObject *function, PyObject *source, PyObject *argument) {
  PyObject *arguments[] = {0, source, argument};
  if (function == latest_router.choose) return latest_router.call(function, arguments + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (Py_TYPE(function) == function_type) {
    assign(&latest_router.choose, function);
    latest_router.call = PyVectorcall_Function(function);
  }
  return PyObject_Vectorcall(function, arguments + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
}

// ---- its argument, the address

// Where bytes have their own: behind their hash, which is ~0 until somebody asks for it. 0 if they have not.
static u32 bytes_word HOT;

static u32 find_bytes_word(void) {
  PyObject *example = PyBytes_FromStringAndSize("\x0a\0\0\1", IPV4);
  char *data;
  Py_ssize_t size;
  if (!example || PyBytes_AsStringAndSize(example, &data, &size)) return 0;
  PyObject **own = (PyObject **)data;
  int is_hash = *slot_of(example, 0) == (PyObject *)1 && own[-1] == (PyObject *)~0;
  is_hash = is_hash && (u32)PyObject_Hash(example) == (u32)own[-1];
  Py_DecRef(example);
  return is_hash ? own - (PyObject **)example : 0;
}

static IN_LINE PyObject *make_source(const u8 *packed, u32 size) {
  PyObject *source = size == IPV4 ? latest_router.source : 0;
  if (!source) return PyBytes_FromStringAndSize((const char *)packed, size);
  latest_router.source = 0;
  __builtin_memcpy(slot_of(source, bytes_word), packed, IPV4);
  return source;
}

// Nobody can tell an object that only we have, and of which nobody has the hash, from a new one.
static IN_LINE void drop_source(PyObject *source, u32 size) {
  if (size == IPV4 && !latest_router.source && bytes_word && *slot_of(source, 0) == (PyObject *)1 &&
      *slot_of(source, bytes_word - 1) == (PyObject *)~0)
    latest_router.source = source;
  else Py_DecRef(source);
}

// ---- its clusters

static void keep_chosen(u32 place, PyObject *target, Chosen chosen) {
  PyObject *before = latest_router.chosen[place].cluster;
  if (chosen.cluster) Py_IncRef(chosen.cluster);
  latest_router.chosen[place] = chosen;
  assign(&chosen_targets[place], target);
  if (before) Py_DecRef(before);
}

// The target of a cluster that was met before, if the router still has the dictionary that it was in. There, none takes another's place.
static const Chosen *find_chosen(PyObject *targets, PyObject *cluster) {
  if (targets == latest_router.targets) {
    for (u32 i = 0; i < CHOSEN; i++)
      if (latest_router.chosen[i].cluster == cluster) return &latest_router.chosen[i];
    return 0;
  }
  assign(&latest_router.targets, targets);
  for (u32 i = 0; i < CHOSEN; i++) keep_chosen(i, 0, (Chosen){0});
  return 0;
}

// A target is (message, number of a counter, property or None). 0 with an exception if it is anything else.
static int read_target(PyObject *cluster, PyObject *target, Chosen *chosen) {
  PyObject *message = PyTuple_GetItem(target, 0), *number = message ? PyTuple_GetItem(target, 1) : 0;
  PyObject *property = number ? PyTuple_GetItem(target, 2) : 0;
  Bytes sent;
  if (!property || (!~(chosen->counter = PyLong_AsUnsignedLong(number)) && PyErr_Occurred()) || !take_bytes(message, &sent)) return 0;
  chosen->cluster = cluster;
  chosen->message = sent.data;
  chosen->size = sent.size;
  chosen->has_property = property != none;
  return 1;
}
#endif
