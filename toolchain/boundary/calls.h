// HTTP calls: making one, and the wait for its answer, `fetch`. What both do is written down once more in Python, in
// proxy_wasm/testing/calls.py.
#ifndef CALLS_H
#define CALLS_H
#include "answers.h"
#include "table.h"

enum { USUAL_TIMEOUT = 5000, SMALL_MAP = 256 };

// A map's bytes, in a place of its own if they are few.
typedef struct {
  char *data, few[SMALL_MAP];
} Written;

static int write_map(Written *written, const Texts *map) {
  written->data = written->few;
  if (!fits(map)) return 0;
  if (map->size > SMALL_MAP && !(written->data = malloc((u32)map->size))) {
    written->data = written->few;
    PyErr_SetString(value_error, "header map: there is no memory for it");
    return 0;
  }
  write_texts(map, written->data);
  return 1;
}

static int take_text(PyObject *object, Bytes *text, const char *parameter) {
  if (!object) text->data = "", text->size = 0;
  else if (!take_bytes(object, text)) wrong_argument("proxy_http_call", parameter, "str or bytes", object);
  else return 1;
  return !object;
}

static int take_milliseconds(PyObject *number, u32 *milliseconds) {
  *milliseconds = PyLong_AsUnsignedLong(number);
  if (~*milliseconds || !PyErr_Occurred()) return 1;
  wrong_argument("proxy_http_call", "timeout_milliseconds", "int", number);
  return 0;
}

// Sends a request to a cluster; 0 with an exception, which names the cluster if the proxy refuses.
static int send_call(PyObject *cluster, const Texts *headers, Bytes text, const Texts *trailers, u32 milliseconds, u32 *call) {
  Written begin, end;
  Bytes name;
  u32 status = 1;
  if (!take_text(cluster, &name, "cluster")) return 0;
  begin.data = begin.few, end.data = end.few;
  if (write_map(&begin, headers) && write_map(&end, trailers)) {
    status = proxy_http_call(
        name.data, name.size, begin.data, (u32)headers->size, text.data, text.size, end.data, (u32)trailers->size, milliseconds, call
    );
    if (status) failed_about("proxy_http_call", status, cluster);
  }
  if (begin.data != begin.few) free(begin.data);
  if (end.data != end.few) free(end.data);
  return !status;
}

// The arguments of a call by their parameters, of which a few may be given by their place: borrowed references. 0 if they do not fit, or
// the first is missing.
static int take_parameters(
    const char *const *names, u32 all, Py_ssize_t by_place, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, PyObject **given
) {
  Py_ssize_t named = keywords ? PyTuple_Size(keywords) : 0, known = 0;
  if (count > by_place) return 0;
  for (Py_ssize_t i = 0; i < count; i++) given[i] = arguments[i];
  for (Py_ssize_t i = 0; i < named; i++)
    for (u32 parameter = 0; parameter < all; parameter++)
      if (!given[parameter] && !PyUnicode_CompareWithASCIIString(PyTuple_GetItem(keywords, i), names[parameter])) {
        given[parameter] = arguments[count + i];
        known++;
        break;
      }
  return given[0] && known == named;
}

// ---- waiting

// What a coroutine yields to its task, which resumes it later; the await gives what it is resumed with.
typedef struct {
  u32 head[2];
  PyObject *task, *value;
  u32 yielded;
} Wait;

enum { CLUSTER, PATH, METHOD, AUTHORITY, HEADERS_GIVEN, BODY, TRAILERS_GIVEN, TIMEOUT, PARAMETERS };
typedef struct {
  Wait wait;
  PyObject *given[PARAMETERS];
  u32 call, sent, awaited, expected;
} Fetch;

static PyObject *wait_type, *fetch_type, *stop_iteration, *runtime_error, *runtime_warning, *float_type;
static Table *awaited_calls;        // what waits for a call's answer, by the call's number
static PyObject *milliseconds_of;   // the SDK's function
static PyObject *stop, *value_name; // an exception that is used again and again

static PyObject *wait_new(PyObject *type, PyObject *arguments, PyObject *keywords) { return PyType_GenericAlloc(type, 0); }

static void drop_wait(PyObject *self) {
  assign(&((Wait *)self)->task, 0);
  assign(&((Wait *)self)->value, 0);
}

static void wait_dealloc(PyObject *self) {
  drop_wait(self);
  release(self);
}

static PyObject *wait_await(PyObject *self) {
  ((Wait *)self)->yielded = 0;
  Py_IncRef(self);
  return self;
}

// Ends an iteration with a value, as a generator's return does.
static PyObject *end_with(PyObject *value) {
  if (value == none) return 0;
  // Nobody else has it: see `resume`.
  if (!stop || *(u32 *)stop != 1) {
    PyObject *made = called(stop_iteration, none);
    if (!made) return 0;
    assign(&stop, made);
    Py_DecRef(made);
  }
  if (PyObject_SetAttr(stop, value_name, value)) return 0;
  Py_IncRef(stop);
  PyErr_SetRaisedException(stop);
  return 0;
}

static PyObject *wait_next(PyObject *self) {
  Wait *wait = (Wait *)self;
  if (!wait->yielded) {
    wait->yielded = 1;
    Py_IncRef(self);
    return self;
  }
  PyObject *value = wait->value;
  wait->value = 0;
  end_with(value ? value : none);
  if (value) Py_DecRef(value);
  return 0;
}

static PyObject *wait_send(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 1) return usage("send(value)");
  PyObject *end = called(stop_iteration, arguments[0]);
  if (end) PyErr_SetRaisedException(end);
  return 0;
}

static PyObject *wait_nothing(PyObject *self, PyObject *const *arguments, Py_ssize_t count) { return new_none(); }

static Method wait_methods[] = {
  {"send", wait_send, METH_FASTCALL, 0},
  {"begin", wait_nothing, METH_FASTCALL, 0},
  {"cancel", wait_nothing, METH_FASTCALL, 0},
  {"expect", wait_nothing, METH_FASTCALL, 0},
  {0, 0, 0, 0},
};

static Member wait_members[] = {{"task", T_OBJECT_EX, __builtin_offsetof(Wait, task), 0, 0}, {0, 0, 0, 0, 0}};

static Slot wait_slots[] = {
  {TP_DEALLOC, wait_dealloc}, {TP_ITERNEXT, wait_next}, {TP_METHODS, wait_methods}, {TP_NEW, wait_new},
  {TP_MEMBERS, wait_members}, {AM_AWAIT, wait_await}, {0, 0},
};

static Spec wait_spec = {"_proxy_wasm.Wait", sizeof(Wait), 0, TPFLAGS_BASETYPE, wait_slots};

// ---- fetch

// Who forgets to await is told so, as of a coroutine.
static void warn_of_unawaited(void) {
  PyObject *error = PyErr_GetRaisedException();
  if (PyErr_WarnEx(runtime_warning, "coroutine 'fetch' was never awaited", 1)) PyErr_Clear();
  if (error) PyErr_SetRaisedException(error);
}

static void fetch_dealloc(PyObject *self) {
  if (!((Fetch *)self)->awaited && !((Fetch *)self)->expected) warn_of_unawaited();
  drop_wait(self);
  for (u32 i = 0; i < PARAMETERS; i++) assign(&((Fetch *)self)->given[i], 0);
  release(self);
}

static PyObject *fetch_await(PyObject *self) {
  if (((Fetch *)self)->awaited++) {
    PyErr_SetString(runtime_error, "cannot reuse already awaited coroutine");
    return 0;
  }
  Py_IncRef(self);
  return self;
}

// Seconds as the proxy takes them, by the SDK's function; nearly always the ones of the fetch before, which a filter has as a constant.
static int read_timeout(PyObject *timeout, u32 *milliseconds) {
  static PyObject *latest;
  static u32 latest_milliseconds;
  if (!timeout) {
    *milliseconds = USUAL_TIMEOUT;
    return 1;
  }
  if (timeout != latest) {
    PyObject *number = called(milliseconds_of, timeout);
    int taken = number && take_milliseconds(number, &latest_milliseconds);
    if (number) Py_DecRef(number);
    assign(&latest, taken && Py_TYPE(timeout) == float_type ? timeout : 0);
    if (!taken) return 0;
  }
  *milliseconds = latest_milliseconds;
  return 1;
}

static int add_named(Texts *map, const char *name, u32 size, PyObject *value, const char *usual) {
  add_text(map, name, size);
  if (value) return add_object(map, value, "a value");
  u32 length = 0;
  while (usual[length]) length++;
  add_text(map, usual, length);
  return 1;
}

// Sends the request that a fetch is about.
static int begin_fetch(Fetch *fetch) {
  Texts headers, trailers;
  PyObject *const *given = fetch->given, *authority = given[AUTHORITY] && given[AUTHORITY] != none ? given[AUTHORITY] : given[CLUSTER];
  Bytes body;
  u32 milliseconds;
  begin_texts(&headers);
  begin_texts(&trailers);
  if (add_named(&headers, ":method", 7, given[METHOD], "GET") && add_named(&headers, ":path", 5, given[PATH], "/") &&
      add_named(&headers, ":authority", 10, authority, "") &&
      (!given[HEADERS_GIVEN] || add_headers(&headers, given[HEADERS_GIVEN], 0)) &&
      (!given[TRAILERS_GIVEN] || add_headers(&trailers, given[TRAILERS_GIVEN], 1)) && read_timeout(given[TIMEOUT], &milliseconds) &&
      take_text(given[BODY], &body, "body"))
    fetch->sent = send_call(given[CLUSTER], &headers, body, &trailers, milliseconds, &fetch->call);
  end_texts(&headers);
  end_texts(&trailers);
  return fetch->sent;
}

static PyObject *fetch_next(PyObject *self) {
  Fetch *fetch = (Fetch *)self;
  return fetch->sent || begin_fetch(fetch) ? wait_next(self) : 0;
}

static PyObject *fetch_begin(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return put_into(awaited_calls, ((Fetch *)self)->call, self) ? new_none() : 0;
}

static PyObject *fetch_cancel(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 call = ((Fetch *)self)->call;
  // A proxy may come to use a number again.
  if (((Fetch *)self)->sent && find_in(awaited_calls, call) == self) drop_from(awaited_calls, call);
  return new_none();
}

// Another coroutine is to await it.
static PyObject *fetch_expect(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  ((Fetch *)self)->expected = 1;
  return new_none();
}

// self.fetch(cluster, path="/", *, method, authority, headers, body, trailers, timeout): the method of every context.
static PyObject *py_fetch(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
  static const char *const parameters[] = {"cluster", "path", "method", "authority", "headers", "body", "trailers", "timeout"};
  PyObject *given[PARAMETERS] = {0}, *made;
  if (!take_parameters(parameters, PARAMETERS, 2, arguments, count, keywords, given))
    return usage("fetch(cluster, path='/', *, method, authority, headers, body, trailers, timeout)");
  if (!(made = PyType_GenericAlloc(fetch_type, 0))) return 0;
  for (u32 i = 0; i < PARAMETERS; i++) assign(&((Fetch *)made)->given[i], given[i]);
  return made;
}

static Method fetch_methods[] = {
  {"begin", fetch_begin, METH_FASTCALL, 0},
  {"cancel", fetch_cancel, METH_FASTCALL, 0},
  {"expect", fetch_expect, METH_FASTCALL, 0},
  {0, 0, 0, 0},
};

static Slot fetch_slots[] = {
  {TP_DEALLOC, fetch_dealloc}, {TP_ITERNEXT, fetch_next}, {TP_METHODS, fetch_methods}, {AM_AWAIT, fetch_await}, {0, 0},
};

static Spec fetch_spec = {"_proxy_wasm.Fetch", sizeof(Fetch), 0, 0, fetch_slots};
static Method fetch_method = {"fetch", py_fetch, METH_FASTCALL | METH_KEYWORDS, 0};
#endif
