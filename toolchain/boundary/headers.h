// Header maps: their bytes as the ABI writes them, read and written in one go, and the methods of proxy_wasm's `Headers` that a request
// calls most. What each does is written down once more in Python, in proxy_wasm/testing/boundary.py, and a test holds both together.
//
// The bytes are a count, the sizes of all names and values, and the texts, each with a zero byte; no bytes at all are an empty map.
#ifndef HEADERS_H
#define HEADERS_H
#include "boundary.h"

static u32 read_u32(const char *data) {
  u32 number;
  __builtin_memcpy(&number, data, sizeof number);
  return number;
}

static void write_u32(char *data, u32 number) { __builtin_memcpy(data, &number, sizeof number); }

// ---- names

// Names come again with each request: the latest ones are kept, so that one is made only when it is new. A place holds one name.
enum { NAMES = 256, LONGEST_NAME = 48 };
static struct {
  PyObject *bytes;
  const char *data;
  u32 size;
} names[NAMES];

static PyObject *name_as_bytes(const char *data, u32 size) {
  if (!size || size > LONGEST_NAME) return PyBytes_FromStringAndSize(data, size);
  u32 place = (size * 37 + (u8)data[0] + (u8)data[size / 2] * 5 + (u8)data[size - 1] * 11) % NAMES;
  if (names[place].size != size || memcmp(names[place].data, data, size)) {
    PyObject *made = PyBytes_FromStringAndSize(data, size), *before = names[place].bytes;
    char *copy;
    Py_ssize_t same_size;
    if (!made) return 0;
    PyBytes_AsStringAndSize(made, &copy, &same_size);
    names[place].bytes = made;
    names[place].data = copy;
    names[place].size = size;
    if (before) Py_DecRef(before);
  }
  Py_IncRef(names[place].bytes);
  return names[place].bytes;
}

// ---- reading and writing a map

static PyObject *bad_map(PyObject *list) {
  if (list) Py_DecRef(list);
  if (!PyErr_Occurred()) PyErr_SetString(value_error, "header map: cut off, or a text does not end in a zero byte");
  return 0;
}

// A list of pairs of bytes.
static PyObject *read_pairs(const char *map, u32 size) {
  u32 pairs = size < 4 ? 0 : read_u32(map), at = 4 + 8 * pairs;
  if (size && (size < 4 || pairs > (size - 4) / 8)) return bad_map(0);
  PyObject *list = PyList_New(pairs);
  for (u32 i = 0; list && i < pairs; i++) {
    u32 name = read_u32(map + 4 + 8 * i), value = read_u32(map + 8 + 8 * i);
    if (name >= size - at || map[at + name] || value >= size - at - name - 1 || map[at + name + 1 + value]) return bad_map(list);
    PyObject *pair = PyTuple_New(2), *one = name_as_bytes(map + at, name);
    PyObject *other = PyBytes_FromStringAndSize(map + at + name + 1, value);
    at += name + value + 2;
    if (pair && one) PyTuple_SetItem(pair, 0, one);
    else if (one) Py_DecRef(one);
    if (pair && other) PyTuple_SetItem(pair, 1, other);
    else if (other) Py_DecRef(other);
    if (!pair || PyList_SetItem(list, i, pair) || !one || !other) return bad_map(list);
  }
  return list;
}

static PyObject *py_parse_pairs(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  Bytes map;
  if (count != 1) return usage("parse_pairs(header_map)");
  return take_bytes(arguments[0], &map) ? read_pairs(map.data, map.size) : 0;
}

// Whether a text has a byte less than 14, eight at a time: with such ones a line ends, or a text.
static int has_control(const char *data, u32 size) {
  const u64 ones = ~0ull / 255;
  u32 i = 0;
  for (; i + 8 <= size; i += 8) {
    u64 word;
    __builtin_memcpy(&word, data + i, sizeof word);
    if ((word - ones * 14) & ~word & ones << 7) return 1;
  }
  for (; i < size; i++)
    if ((u8)data[i] < 14) return 1;
  return 0;
}

// A header's name or value. The proxy would take one with a line's end in it, and in a response write it out: what follows would be a
// header of its own.
static int take_header(PyObject *object, Bytes *text, const char *call, const char *parameter) {
  if (!take_bytes(object, text)) return wrong_argument(call, parameter, "str or bytes", object), 0;
  if (!has_control(text->data, text->size)) return 1;
  for (u32 i = 0; i < (u32)text->size; i++) {
    if (text->data[i] && text->data[i] != '\n' && text->data[i] != '\r') continue;
    PyObject *bytes = PyBytes_FromStringAndSize(text->data, text->size);
    if (bytes) PyErr_Format(value_error, "a header with a line's end or a NUL in it: %R", bytes), Py_DecRef(bytes);
    return 0;
  }
  return 1;
}

// A pair of an author's as a tuple, a new reference; else an exception.
static PyObject *as_pair(PyObject *object) {
  PyObject *pair = PySequence_Tuple(object);
  if (pair && PyTuple_Size(pair) == 2) return pair;
  if (pair) {
    PyErr_Format(value_error, "a header is a name and a value, not %R", object);
    Py_DecRef(pair);
  }
  return 0;
}

// write_pairs(pairs): the bytes of a map, of an iterable of names and values, in its order.
static PyObject *py_write_pairs(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 1) return usage("write_pairs(pairs)");
  PyObject *list = PySequence_List(arguments[0]), *bytes = 0;
  u32 pairs = list ? PyList_Size(list) : 0, size = 4;
  Bytes text[2], written;
  // Pairs and texts are kept by a list that nobody else has, so that they still are what they were when they are copied.
  for (u32 i = 0; list && i < pairs; i++) {
    PyObject *pair = as_pair(PyList_GetItem(list, i));
    if (!pair || PyList_SetItem(list, i, pair)) goto end;
    for (u32 side = 0; side < 2; side++) {
      if (!take_header(PyTuple_GetItem(pair, side), &text[side], "header map", side ? "a value" : "a name")) goto end;
      size += 4 + text[side].size + 1;
    }
  }
  if (!list || !(bytes = PyBytes_FromStringAndSize(0, size))) goto end;
  PyBytes_AsStringAndSize(bytes, (char **)&written.data, &written.size);
  char *sizes = (char *)written.data, *to = sizes + 4 + 8 * pairs;
  write_u32(sizes, pairs);
  for (u32 i = 0; i < pairs; i++)
    for (u32 side = 0; side < 2; side++) {
      take_bytes(PyTuple_GetItem(PyList_GetItem(list, i), side), &text[0]);
      write_u32(sizes += 4, text[0].size);
      memcpy(to, text[0].data, text[0].size);
      to += text[0].size;
      *to++ = 0;
    }
end:
  if (list) Py_DecRef(list);
  return bytes;
}

// ---- HeaderMap, the base of `Headers`

enum { T_OBJECT_EX = 16, READ_ONLY = 1, TPFLAGS_BASETYPE = 1 << 10 };
typedef struct {
  u32 head[2]; // every object's reference count and type
  PyObject *map;
} HeaderMap;

static PyObject *map_of(PyObject *self) { return ((HeaderMap *)self)->map; }

static PyObject *map_new(PyObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *map = PyTuple_Size(arguments) == 1 ? PyTuple_GetItem(arguments, 0) : 0, *self;
  if (!map) return usage("HeaderMap(map)");
  if ((!~PyLong_AsUnsignedLong(map) && PyErr_Occurred()) || !(self = PyType_GenericAlloc(type, 0))) return 0;
  Py_IncRef(((HeaderMap *)self)->map = map);
  return self;
}

static void map_dealloc(PyObject *self) {
  PyObject *type = Py_TYPE(self);
  Py_DecRef(map_of(self));
  PyObject_Free(self);
  Py_DecRef(type);
}

// The first value; None if there is none.
static PyObject *value_of(PyObject *self, PyObject *name) {
  PyObject *arguments[] = {map_of(self), name};
  return py_proxy_get_header_map_value(0, arguments, 2);
}

static PyObject *map_subscript(PyObject *self, PyObject *name) {
  PyObject *value = value_of(self, name);
  if (value != none) return value;
  PyErr_SetObject(key_error, name);
  return 0;
}

static PyObject *map_get(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
  Py_ssize_t given = count + (keywords ? PyTuple_Size(keywords) : 0);
  if (count < 1 || given > 2 || (given > count && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(keywords, 0), "default")))
    return usage("get(name, default=None)");
  PyObject *value = value_of(self, arguments[0]);
  if (value != none || given == 1) return value;
  Py_IncRef(arguments[1]);
  return arguments[1];
}

// Calls what changes a header. Each of the two is looked at first, with the name of the host call that takes it.
static PyObject *change(
    PyObject *self, PyObject *name, PyObject *value, const char *call,
    PyObject *make(PyObject *, PyObject *const *, Py_ssize_t)
) {
  Bytes text;
  PyObject *arguments[] = {map_of(self), name, value};
  if (!take_header(name, &text, call, "key") || !take_header(value, &text, call, "value")) return 0;
  return make(0, arguments, 3);
}

static PyObject *map_add(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 2) return usage("add(name, value)");
  return change(self, arguments[0], arguments[1], "proxy_add_header_map_value", py_proxy_add_header_map_value);
}

static int map_put(PyObject *self, PyObject *name, PyObject *value) {
  PyObject *arguments[] = {map_of(self), name}, *done;
  if (value) done = change(self, name, value, "proxy_replace_header_map_value", py_proxy_replace_header_map_value);
  else done = py_proxy_remove_header_map_value(0, arguments, 2);
  return done ? 0 : -1; // None, which is immortal
}

static PyObject *map_items(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  char *pairs = 0;
  u32 size = 0, map = PyLong_AsUnsignedLong(map_of(self)), status;
  if (count) return usage("items()");
  status = proxy_get_header_map_pairs(map, &pairs, &size);
  if (status) return failed("proxy_get_header_map_pairs", status);
  PyObject *list = read_pairs(pairs, pairs ? size : 0);
  if (pairs) free(pairs);
  return list;
}

static Method map_methods[] = {
  {"get", map_get, METH_FASTCALL | METH_KEYWORDS, 0},
  {"add", map_add, METH_FASTCALL, 0},
  {"items", map_items, METH_FASTCALL, 0},
  {0, 0, 0, 0},
};

static struct {
  const char *name;
  int type;
  Py_ssize_t offset;
  int flags;
  const char *doc;
} map_members[] = {{"map", T_OBJECT_EX, __builtin_offsetof(HeaderMap, map), READ_ONLY, 0}, {0, 0, 0, 0, 0}};

// The numbers of PyType_Slot are those of CPython's typeslots.h, which never change.
static struct {
  int slot;
  void *function;
} map_slots[] = {
  {3, map_put}, {5, map_subscript}, {52, map_dealloc}, {64, map_methods}, {65, map_new}, {72, map_members}, {0, 0},
};

static struct {
  const char *name;
  int size, item_size;
  u32 flags;
  void *slots;
} map_type = {"_proxy_wasm.HeaderMap", sizeof(HeaderMap), 0, TPFLAGS_BASETYPE, map_slots};
#endif
