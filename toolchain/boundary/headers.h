// Header maps: their bytes as the ABI writes them, read and written in one go, and the methods of proxy_wasm's `Headers` that a request
// calls most. What each does is written down once more in Python, in proxy_wasm/testing/boundary.py, and a test holds both together.
//
// The bytes are a count, the sizes of all names and values, and the texts, each with a zero byte; no bytes at all are an empty map.
#ifndef HEADERS_H
#define HEADERS_H
#include "pairs.h"

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

// Texts that are constants of the program come again as the same objects. Of those that came twice it is kept what is in them, and that no
// line ends there.
enum { TEXTS = 64, LONGEST_TEXT = 64 };
static struct {
  PyObject *object, *met; // that is held, and what came last and may be gone
  Bytes text;
} texts_met[TEXTS];

// A text that is probably a constant: take_bytes, and whether it is known to be fit for a header.
static int take_constant(PyObject *object, Bytes *text, int *fits) {
  u32 place = ((u32)object * 0x9E3779B1u >> 16) % TEXTS; // addresses are multiples
  *fits = texts_met[place].object == object;
  if (*fits) {
    *text = texts_met[place].text;
    return 1;
  }
  if (!take_bytes(object, text)) return 0;
  PyObject *type = Py_TYPE(object);
  if (texts_met[place].met == object && text->size <= LONGEST_TEXT && (type == str_type || type == bytes_type)) {
    if (!has_control(text->data, text->size)) {
      assign(&texts_met[place].object, object);
      texts_met[place].text = *text;
    }
  }
  texts_met[place].met = object;
  return 1;
}

// A header's name or value. The proxy would take one with a line's end in it, and in a response write it out: what follows would be a
// header of its own.
static int take_header(PyObject *object, Bytes *text, const char *call, const char *parameter) {
  int known;
  if (!take_constant(object, text, &known)) return wrong_argument(call, parameter, "str or bytes", object), 0;
  if (known || !has_control(text->data, text->size)) return 1;
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
  PyObject *pair = object;
  if (Py_TYPE(object) == tuple_type) Py_IncRef(object);
  else pair = PySequence_Tuple(object);
  if (pair && PyTuple_Size(pair) == 2) return pair;
  if (pair) {
    PyErr_Format(value_error, "a header is a name and a value, not %R", object);
    Py_DecRef(pair);
  }
  return 0;
}

// The texts of a map to be written. What keeps them is a list that nobody else has, so that they still are what they were when they are
// copied; a few have their place here.
enum { FEW = 32, LARGEST = 0x40000000 };
typedef struct {
  PyObject *list;
  Bytes *texts, few[FEW];
  u32 count;
  u64 size;
} Texts;

static void begin_texts(Texts *map) { map->list = 0, map->texts = map->few, map->count = 0, map->size = 4; }

static void end_texts(Texts *map) {
  if (map->list) Py_DecRef(map->list);
  if (map->texts != map->few) free(map->texts);
}

static void add_text(Texts *map, const char *data, Py_ssize_t size) {
  map->texts[map->count++] = (Bytes){data, size};
  map->size += 4 + (u32)size + 1;
}

static int add_object(Texts *map, PyObject *object, const char *parameter) {
  Bytes text;
  if (!take_header(object, &text, "header map", parameter)) return 0;
  add_text(map, text.data, text.size);
  return 1;
}

// Adds the pairs of a list that nobody else has, and which is given away; those of pseudo headers only if they are wanted.
static int add_list(Texts *map, PyObject *list, int pseudo_too) {
  map->list = list;
  u32 pairs = list ? PyList_Size(list) : 0, most = map->count + 2 * pairs;
  if (!list) return 0;
  if (most > FEW) {
    Bytes *more = malloc(most * sizeof *more);
    if (!more) return PyErr_SetString(value_error, "header map: there is no memory for it"), 0;
    memcpy(more, map->few, sizeof map->few);
    map->texts = more;
  }
  for (u32 i = 0; i < pairs; i++) {
    Bytes name;
    PyObject *object = PyList_GetItem(list, i), *pair = as_pair(object);
    if (!pair) return 0;
    if (pair == object) Py_DecRef(pair); // the list has it
    else if (PyList_SetItem(list, i, pair)) return 0;
    PyObject *one = PyTuple_GetItem(pair, 0);
    if (!pseudo_too) {
      if (take_bytes(one, &name) && name.size && *name.data == ':') continue;
      PyErr_Clear(); // what is no text is refused below, with its place
    }
    if (!add_object(map, one, "a name") || !add_object(map, PyTuple_GetItem(pair, 1), "a value")) return 0;
  }
  return 1;
}

// Adds an iterable's pairs, in its order.
static int add_pairs(Texts *map, PyObject *given, int pseudo_too) { return add_list(map, PySequence_List(given), pseudo_too); }

// The same for a mapping, or an iterable of pairs.
static int add_headers(Texts *map, PyObject *given, int pseudo_too) {
  static PyObject *items;
  PyObject *type = Py_TYPE(given);
  if (type == list_type || type == tuple_type) return (type == tuple_type && !PyTuple_Size(given)) || add_pairs(map, given, pseudo_too);
  if (!items && !(items = PyUnicode_InternFromString("items"))) return 0;
  if (type == dict_type) return add_list(map, PyDict_Items(given), pseudo_too);
  PyObject *method = 0;
  int has_items = PyObject_GetOptionalAttr(given, items, &method);
  if (!has_items) return add_pairs(map, given, pseudo_too);
  PyObject *pairs = method ? PyObject_Vectorcall(method, 0, 0, 0) : 0;
  if (method) Py_DecRef(method);
  int added = pairs && add_pairs(map, pairs, pseudo_too);
  if (pairs) Py_DecRef(pairs);
  return added;
}

static int fits(const Texts *map) {
  if (map->size > LARGEST) PyErr_SetString(value_error, "header map: it is too large");
  return map->size <= LARGEST;
}

static void write_texts(const Texts *map, char *sizes) {
  char *to = sizes + 4 + 4 * map->count;
  write_u32(sizes, map->count / 2);
  for (u32 i = 0; i < map->count; i++) {
    const Bytes *text = &map->texts[i];
    write_u32(sizes += 4, text->size);
    memcpy(to, text->data, text->size);
    to += text->size;
    *to++ = 0;
  }
}

// write_pairs(pairs): the bytes of a map, of an iterable of names and values.
static PyObject *py_write_pairs(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  Texts map;
  Bytes written;
  PyObject *bytes = 0;
  if (count != 1) return usage("write_pairs(pairs)");
  begin_texts(&map);
  if (add_pairs(&map, arguments[0], 1) && fits(&map) && (bytes = PyBytes_FromStringAndSize(0, map.size))) {
    PyBytes_AsStringAndSize(bytes, (char **)&written.data, &written.size);
    write_texts(&map, (char *)written.data);
  }
  end_texts(&map);
  return bytes;
}

// ---- HeaderMap, the base of `Headers`

typedef struct {
  u32 head[2]; // every object's reference count and type
  PyObject *map;
  u32 number;
} HeaderMap;

static PyObject *map_of(PyObject *self) { return ((HeaderMap *)self)->map; }

static PyObject *map_new(PyObject *type, PyObject *arguments, PyObject *keywords) {
  PyObject *map = PyTuple_Size(arguments) == 1 ? PyTuple_GetItem(arguments, 0) : 0, *self;
  if (!map) return usage("HeaderMap(map)");
  u32 number = PyLong_AsUnsignedLong(map);
  if ((!~number && PyErr_Occurred()) || !(self = PyType_GenericAlloc(type, 0))) return 0;
  Py_IncRef(((HeaderMap *)self)->map = map);
  ((HeaderMap *)self)->number = number;
  return self;
}

static void map_dealloc(PyObject *self) {
  Py_DecRef(map_of(self));
  release(self);
}

// The first value; None if there is none.
static PyObject *value_of(PyObject *self, PyObject *name) {
  Bytes key;
  char *value = 0;
  u32 size = 0, status;
  int known;
  if (!take_constant(name, &key, &known)) return wrong_argument("proxy_get_header_map_value", "key", "str or bytes", name);
  begin_answer();
  status = proxy_get_header_map_value(((HeaderMap *)self)->number, key.data, key.size, &value, &size);
  if (!status) return give_bytes(value, size);
  drop_answer_bytes();
  return status == NOT_FOUND ? new_none() : failed("proxy_get_header_map_value", status);
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

// Calls what changes a header; 0 with an exception.
static int change(
    PyObject *self, PyObject *name, PyObject *value, const char *call, u32 make(u32, const char *, u32, const char *, u32)
) {
  Bytes key, text;
  if (!take_header(name, &key, call, "key") || !take_header(value, &text, call, "value")) return 0;
  u32 status = make(((HeaderMap *)self)->number, key.data, key.size, text.data, text.size);
  if (status) failed(call, status);
  return !status;
}

static PyObject *map_add(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 2) return usage("add(name, value)");
  return change(self, arguments[0], arguments[1], "proxy_add_header_map_value", proxy_add_header_map_value) ? new_none() : 0;
}

static int map_put(PyObject *self, PyObject *name, PyObject *value) {
  PyObject *arguments[] = {map_of(self), name};
  if (value) return change(self, name, value, "proxy_replace_header_map_value", proxy_replace_header_map_value) ? 0 : -1;
  return py_proxy_remove_header_map_value(0, arguments, 2) ? 0 : -1; // None, which is immortal
}

static PyObject *map_items(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  char *pairs = 0;
  u32 size = 0, status;
  if (count) return usage("items()");
  status = proxy_get_header_map_pairs(((HeaderMap *)self)->number, &pairs, &size);
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

static Member map_members[] = {{"map", T_OBJECT_EX, __builtin_offsetof(HeaderMap, map), READ_ONLY, 0}, {0, 0, 0, 0, 0}};

static Slot map_slots[] = {
  {MP_ASS_SUBSCRIPT, map_put}, {MP_SUBSCRIPT, map_subscript}, {TP_DEALLOC, map_dealloc}, {TP_METHODS, map_methods},
  {TP_NEW, map_new}, {TP_MEMBERS, map_members}, {0, 0},
};

// freeze(type): nothing changes a class any more, and CPython finds what it has of the kind faster.
static PyObject *py_freeze(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 1) return usage("freeze(type)");
  return PyType_Freeze(arguments[0]) ? 0 : new_none();
}

static Spec map_type = {"_proxy_wasm.HeaderMap", sizeof(HeaderMap), 0, TPFLAGS_BASETYPE | TPFLAGS_IMMUTABLETYPE, map_slots};
#endif
