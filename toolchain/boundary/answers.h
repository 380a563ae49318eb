// The answer to an HTTP call, `HttpAnswer`: its headers stay bytes until somebody asks for all of them, for most filters ask for the status
// alone. What it does is written down once more in Python, in proxy_wasm/testing/calls.py.
#ifndef ANSWERS_H
#define ANSWERS_H
#include "headers.h"

enum { HEADERS, TRAILERS, SIDES, BODY_BUFFER = 4, FIRST_MAP = 6, ALL = 0xFFFFFFFF };
typedef struct {
  u32 head[2];
  PyObject *pairs[SIDES], *body;
  // The bytes of what is not a list yet.
  char *maps[SIDES];
  u32 sizes[SIDES];
} Answer;
static PyObject *answer_type, *int_type;

static void answer_dealloc(PyObject *self) {
  Answer *answer = (Answer *)self;
  for (u32 side = 0; side < SIDES; side++) {
    if (answer->pairs[side]) Py_DecRef(answer->pairs[side]);
    if (answer->maps[side]) free(answer->maps[side]);
  }
  if (answer->body) Py_DecRef(answer->body);
  release(self);
}

// The headers or the trailers as a list of pairs, a borrowed reference.
static PyObject *answer_pairs(Answer *answer, u32 side) {
  if (!answer->pairs[side]) {
    answer->pairs[side] = read_pairs(answer->maps[side], answer->sizes[side]);
    if (answer->pairs[side] && answer->maps[side]) free(answer->maps[side]), answer->maps[side] = 0, answer->sizes[side] = 0;
  }
  return answer->pairs[side];
}

static PyObject *new_reference(PyObject *object) {
  if (object) Py_IncRef(object);
  return object;
}

static PyObject *answer_headers(PyObject *self, void *side) { return new_reference(answer_pairs((Answer *)self, (u32)side)); }

static PyObject *called(PyObject *function, PyObject *argument) {
  PyObject *arguments[] = {0, argument};
  return PyObject_Vectorcall(function, arguments + 1, 1 | VECTORCALL_ARGUMENTS_OFFSET, 0);
}

// A status as a number; of no text it is 0.
static PyObject *as_status(const char *data, u32 size) {
  u32 number = 0, at = 0;
  while (at < size && at < 9 && (u8)(data[at] - '0') < 10) number = 10 * number + (data[at++] - '0');
  if (at == size) return PyLong_FromUnsignedLong(number);
  PyObject *text = PyBytes_FromStringAndSize(data, size), *status = text ? called(int_type, text) : 0;
  if (text) Py_DecRef(text);
  return status;
}

static const char STATUS[] = ":status";
static int is_status(const char *data, u32 size) { return size == sizeof STATUS - 1 && !memcmp(data, STATUS, size); }

// Passes over the texts of a map that `check_map` has found to be one.
static PyObject *status_in_map(const char *map, u32 size) {
  u32 pairs = size ? read_u32(map) : 0;
  const char *text = map + 4 + 8 * pairs;
  for (u32 i = 0; i < pairs; i++) {
    u32 name = read_u32(map + 4 + 8 * i), value = read_u32(map + 8 + 8 * i);
    if (is_status(text, name)) return as_status(text + name + 1, value);
    text += name + value + 2;
  }
  return PyLong_FromUnsignedLong(0);
}

// The value of the first pair of a name; 0 if there is none, or with an exception.
static PyObject *first_value(PyObject *pairs, const char *wanted, u32 size) {
  PyObject *list = PySequence_List(pairs), *found = 0;
  for (Py_ssize_t i = 0; list && !found && i < PyList_Size(list); i++) {
    Bytes name;
    PyObject *pair = as_pair(PyList_GetItem(list, i)), *one = pair ? PyTuple_GetItem(pair, 0) : 0;
    if (!pair) break;
    if (Py_TYPE(one) == bytes_type && take_bytes(one, &name) && (u32)name.size == size && !memcmp(name.data, wanted, size))
      found = new_reference(PyTuple_GetItem(pair, 1));
    Py_DecRef(pair);
  }
  if (list) Py_DecRef(list);
  return found;
}

static PyObject *answer_status(PyObject *self, void *unused) {
  Answer *answer = (Answer *)self;
  if (!answer->pairs[HEADERS]) return status_in_map(answer->maps[HEADERS], answer->sizes[HEADERS]);
  PyObject *value = first_value(answer->pairs[HEADERS], STATUS, sizeof STATUS - 1);
  Bytes text;
  if (!value) return PyErr_Occurred() ? 0 : PyLong_FromUnsignedLong(0);
  PyObject *status = take_bytes(value, &text) ? as_status(text.data, text.size) : 0;
  Py_DecRef(value);
  return status;
}

static PyObject *answer_failed(PyObject *self, void *unused) {
  PyObject *status = answer_status(self, 0);
  if (!status) return 0;
  i32 number = PyLong_AsLong(status);
  Py_DecRef(status);
  if (!~number) PyErr_Clear();
  return PyBool_FromLong(!number || (number >= 502 && number <= 504));
}

static PyObject *answer_header(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  static PyObject *lower;
  if (count != 1) return usage("header(name)");
  if (!lower && !(lower = PyUnicode_InternFromString("lower"))) return 0;
  PyObject *call[] = {0, arguments[0]}, *value = 0;
  PyObject *wanted = PyObject_VectorcallMethod(lower, call + 1, 1 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  PyObject *pairs = wanted ? answer_pairs((Answer *)self, HEADERS) : 0;
  Bytes name;
  if (pairs && take_bytes(wanted, &name)) value = first_value(pairs, name.data, name.size);
  if (wanted) Py_DecRef(wanted);
  return value || PyErr_Occurred() ? value : new_none();
}

// HttpAnswer(headers, body=b"", trailers=None)
static PyObject *answer_new(PyObject *type, PyObject *arguments, PyObject *keywords) {
  static const char *const parameters[] = {"headers", "body", "trailers"};
  PyObject *given[3] = {0}, *self;
  Py_ssize_t count = PyTuple_Size(arguments), named = 0;
  for (Py_ssize_t i = 0; i < 3; i++) {
    PyObject *name = PyUnicode_FromString(parameters[i]);
    if (i < count) given[i] = PyTuple_GetItem(arguments, i);
    else if (keywords && name && (given[i] = PyDict_GetItemWithError(keywords, name))) named++;
    if (name) Py_DecRef(name);
  }
  if (count > 3 || !given[0] || (keywords && PyDict_Size(keywords) != named)) return usage("HttpAnswer(headers, body=b\"\", trailers=None)");
  if (!(self = PyType_GenericAlloc(type, 0))) return 0;
  Answer *answer = (Answer *)self;
  answer->pairs[HEADERS] = new_reference(given[0]);
  answer->body = given[1] ? new_reference(given[1]) : PyBytes_FromStringAndSize("", 0);
  answer->pairs[TRAILERS] = given[2] && given[2] != none ? new_reference(given[2]) : PyList_New(0);
  return self;
}

static int take_map(Answer *answer, u32 side) {
  u32 status = proxy_get_header_map_pairs(FIRST_MAP + side, &answer->maps[side], &answer->sizes[side]);
  if (status) return failed("proxy_get_header_map_pairs", status), 0;
  if (!answer->maps[side]) answer->sizes[side] = 0;
  return check_map(answer->maps[side], answer->sizes[side]);
}

// The answer that proxy_on_http_call_response is about.
static PyObject *take_answer(void) {
  PyObject *self = PyType_GenericAlloc(answer_type, 0);
  Answer *answer = (Answer *)self;
  char *body = 0;
  u32 size = 0, status;
  if (!self) return 0;
  if (take_map(answer, HEADERS)) {
    begin_answer();
    status = proxy_get_buffer_bytes(BODY_BUFFER, 0, ALL, &body, &size);
    if (status) drop_answer_bytes();
    if (status && status != NOT_FOUND) failed("proxy_get_buffer_bytes", status);
    else if ((answer->body = give_bytes(body, size)) && take_map(answer, TRAILERS)) return self;
  }
  Py_DecRef(self);
  return 0;
}

static PyObject *py_get_http_answer(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return count ? usage("get_http_answer()") : take_answer();
}

static Method answer_methods[] = {{"header", answer_header, METH_FASTCALL, 0}, {0, 0, 0, 0}};

static struct {
  const char *name;
  void *get, *set;
  const char *doc;
  void *closure;
} answer_attributes[] = {
  {"headers", answer_headers, 0, 0, (void *)HEADERS},
  {"trailers", answer_headers, 0, 0, (void *)TRAILERS},
  {"status", answer_status, 0, 0, 0},
  {"failed", answer_failed, 0, 0, 0},
  {0, 0, 0, 0, 0},
};

static Member answer_members[] = {{"body", T_OBJECT_EX, __builtin_offsetof(Answer, body), READ_ONLY, 0}, {0, 0, 0, 0, 0}};

static Slot answer_slots[] = {
  {TP_DEALLOC, answer_dealloc}, {TP_METHODS, answer_methods}, {TP_NEW, answer_new}, {TP_MEMBERS, answer_members},
  {TP_GETSET, answer_attributes}, {0, 0},
};

static Spec answer_spec = {"proxy_wasm.HttpAnswer", sizeof(Answer), 0, TPFLAGS_BASETYPE, answer_slots};
#endif
