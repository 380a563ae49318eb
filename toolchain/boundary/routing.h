// The quick way of proxy_wasm.routing: what `SourceRouter.connect` does in Python, but that the host calls follow one another without Python
// between them. Only the author's function is called. What is not as usual goes to the router's own methods.
#ifndef ROUTING_H
#define ROUTING_H
#include "address.h"

// `SourceRouter`, and its subclass that was met last.
static PyObject *router_type, *latest_router_type;

// Where a router has its slots, in words.
static u32 choose_word, argument_word, targets_word, routed_word;

// The names of a router's methods.
enum { ADD, ON_UNROUTED, ON_FAILED, ON_UNCOUNTED, METHODS };
static PyObject *router_methods[METHODS];

static const char SOURCE_ADDRESS[] = "source\0address", SET_FILTER_STATE[] = "set_envoy_filter_state";

// set_router(class, names of its methods, example, choose, argument, targets, routed)
static PyObject *py_set_router(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  enum { SLOTS = 4 };
  u32 *words[SLOTS] = {&choose_word, &argument_word, &targets_word, &routed_word};
  if (count != 3 + SLOTS) return usage("set_router(class, methods, example, choose, argument, targets, routed)");
  for (u32 i = 0; i < METHODS; i++) {
    PyObject *name = PyTuple_GetItem(arguments[1], i);
    if (!name) return 0;
    Py_DecRef(replace(&router_methods[i], name));
  }
  for (u32 i = 0; i < SLOTS; i++)
    if (!(*words[i] = find_slot(arguments[2], arguments[3 + i], SLOTS))) return usage("set_router(): the example has no such slot");
  return replace(&router_type, arguments[0]);
}

// Whether an object is a router; one whose constructor did not call its base class's is left to Python.
static int is_router(PyObject *object) {
  PyObject *type = Py_TYPE(object);
  if (!router_type || (type != latest_router_type && !PyType_IsSubtype(type, router_type))) return 0;
  if (type != latest_router_type) replace(&latest_router_type, type);
  return *slot_of(object, choose_word) && *slot_of(object, argument_word) && *slot_of(object, targets_word) &&
         *slot_of(object, routed_word);
}

// Calls a router's method with one argument, which is given away, or two.
static PyObject *tell_router(PyObject *router, u32 method, PyObject *first, PyObject *second) {
  PyObject *arguments[] = {0, router, first, second};
  if (!first) return 0;
  PyObject *result =
      PyObject_VectorcallMethod(router_methods[method], arguments + 1, (second ? 3 : 2) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(first);
  return result;
}

static PyObject *tell_failure(PyObject *router, PyObject *cluster) {
  return tell_router(router, ON_FAILED, PyErr_GetRaisedException(), cluster ? cluster : none);
}

// A short answer of the host's needs no memory of its own: it is read before the next one comes.
static char short_answer[64];
static int wants_short_answer;

static char *memory_for_answer(u32 size) {
  if (!wants_short_answer || size > sizeof short_answer) return 0;
  wants_short_answer = 0;
  return short_answer;
}

static void drop_answer(char *answer) {
  if (answer && answer != short_answer) free(answer);
}

// Makes tcp_proxy choose a cluster: its target is (message, number of a counter). 0 with an exception if it cannot be.
static int choose_target(PyObject *target, u32 *counter) {
  PyObject *message = PyTuple_GetItem(target, 0), *number = message ? PyTuple_GetItem(target, 1) : 0;
  Bytes sent;
  if (!number || (!~(*counter = PyLong_AsUnsignedLong(number)) && PyErr_Occurred()) || !take_bytes(message, &sent)) return 0;
  char *answer = 0;
  u32 size = 0;
  wants_short_answer = 1;
  u32 status = proxy_call_foreign_function(SET_FILTER_STATE, sizeof SET_FILTER_STATE - 1, sent.data, sent.size, &answer, &size);
  wants_short_answer = 0;
  drop_answer(answer);
  if (!status) return 1;
  PyObject *about = PyBytes_FromStringAndSize(SET_FILTER_STATE, sizeof SET_FILTER_STATE - 1);
  if (about) {
    failed_about("proxy_call_foreign_function", status, about);
    Py_DecRef(about);
  }
  return 0;
}

// Counts a connection, and tells of it: neither decides about it. 0 with an exception if one of the router's methods raised.
static int tell_of(PyObject *router, u32 counter, PyObject *text, PyObject *cluster) {
  u32 status = counter ? proxy_increment_metric(counter, 1) : 0;
  PyObject *result = none, *told[] = {0, text, cluster};
  if (status) {
    failed("proxy_increment_metric", status);
    result = tell_router(router, ON_UNCOUNTED, PyErr_GetRaisedException(), 0);
    if (result) Py_DecRef(result);
  }
  if (result && text) {
    result = PyObject_Vectorcall(*slot_of(router, routed_word), told + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
    if (result) Py_DecRef(result);
  }
  return result != 0;
}

// What the router's function makes of an address: a cluster, None, or 0 with an exception.
static PyObject *choose_cluster(PyObject *router, const u8 *packed, u32 size) {
  PyObject *source = PyBytes_FromStringAndSize((const char *)packed, size), *cluster = 0;
  PyObject *arguments[] = {0, source, *slot_of(router, argument_word)};
  if (!source) return 0;
  cluster = PyObject_Vectorcall(*slot_of(router, choose_word), arguments + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(source);
  return cluster;
}

// The target of a cluster: a new reference.
static PyObject *find_target(PyObject *router, PyObject *cluster) {
  PyObject *target = PyDict_GetItemWithError(*slot_of(router, targets_word), cluster);
  if (!target && PyErr_Occurred()) return 0;
  Py_IncRef(target ? target : cluster);
  return target ? target : tell_router(router, ADD, cluster, 0);
}

// Sends a connection to its cluster; `text` is the source address if the router tells of it, else null.
static PyObject *route_address(PyObject *router, const u8 *packed, u32 size, PyObject *text) {
  PyObject *cluster = choose_cluster(router, packed, size), *result = 0;
  if (!cluster) return tell_failure(router, 0);
  if (cluster == none) return cluster;
  u32 counter = 0;
  PyObject *target = find_target(router, cluster);
  if (target && choose_target(target, &counter)) result = tell_of(router, counter, text, cluster) ? new_none() : 0;
  else result = tell_failure(router, cluster);
  if (target) Py_DecRef(target);
  Py_DecRef(cluster);
  return result;
}

// What a new connection's router makes of it.
static PyObject *route_connection(PyObject *router) {
  char *address = 0;
  u32 size = 0;
  wants_short_answer = 1;
  u32 status = proxy_get_property(SOURCE_ADDRESS, sizeof SOURCE_ADDRESS - 1, &address, &size);
  wants_short_answer = 0;
  if (status == NOT_FOUND) return tell_router(router, ON_UNROUTED, new_none(), 0);
  if (status) return failed("proxy_get_property", status), tell_failure(router, 0);
  u8 packed[16];
  u32 length = address ? read_address(address, size, packed) : 0;
  PyObject *text = !length || *slot_of(router, routed_word) != none ? PyBytes_FromStringAndSize(address, address ? size : 0) : 0;
  drop_answer(address);
  if (!length) return tell_router(router, ON_UNROUTED, text, 0);
  PyObject *result = route_address(router, packed, length, text);
  if (text) Py_DecRef(text);
  return result;
}
#endif
