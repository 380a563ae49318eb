// The quick way of proxy_wasm.routing: what `SourceRouter.connect` does in Python, but that the host calls follow one another without Python
// between them. Only the author's function is called. What is not as usual goes to the router's own methods.
#ifndef ROUTING_H
#define ROUTING_H
#include "address.h"
#include "latest_router.h"

// `SourceRouter`, and its subclass that was met last.
static PyObject *router_type HOT, *latest_router_type HOT;

// Where a router has its slots, in words.
static u32 choose_word HOT, argument_word HOT, targets_word HOT, routed_word HOT;

// The names of a router's methods.
enum { ADD, ON_UNROUTED, ON_FAILED, ON_UNCOUNTED, METHODS };
static PyObject *router_methods[METHODS];

static char source_address[] HOT = "source\0address", set_filter_state[] HOT = "set_envoy_filter_state";
enum { INFO = 2, LONGEST_LINE = 256 };

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
  bytes_word = find_bytes_word();
  function_type = Py_TYPE(arguments[3]);
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
  assign(&latest_router.targets, 0); // whatever the method does to them
  PyObject *result =
      PyObject_VectorcallMethod(router_methods[method], arguments + 1, (second ? 3 : 2) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(first);
  return result;
}

static PyObject *tell_failure(PyObject *router, PyObject *cluster) {
  return tell_router(router, ON_FAILED, PyErr_GetRaisedException(), cluster ? cluster : none);
}

// A short answer of the host's needs no memory of its own: it is read before the next one comes.
static char short_answer[64] HOT;
static int wants_short_answer HOT;

static char *memory_for_answer(u32 size) {
  if (!wants_short_answer || size > sizeof short_answer) return 0;
  wants_short_answer = 0;
  return short_answer;
}

static void drop_answer(char *answer) {
  if (answer && answer != short_answer) free(answer);
}

// Makes tcp_proxy choose a cluster. 0 with an exception if the proxy does not take it.
static int choose_target(const Chosen *chosen) {
  char *answer = 0;
  u32 size = 0;
  wants_short_answer = 1;
  u32 status =
      proxy_call_foreign_function(set_filter_state, sizeof set_filter_state - 1, chosen->message, chosen->size, &answer, &size);
  wants_short_answer = 0;
  drop_answer(answer);
  if (!status) return 1;
  PyObject *about = PyBytes_FromStringAndSize(set_filter_state, sizeof set_filter_state - 1);
  if (about) {
    failed_about("proxy_call_foreign_function", status, about);
    Py_DecRef(about);
  }
  return 0;
}

// Writes a line to the log: it has %b for the address and %b for the cluster.
static int log_line(PyObject *line, Bytes address, PyObject *cluster) {
  Bytes form, name;
  if (!take_bytes(line, &form) || !take_bytes(cluster, &name)) return 0;
  u32 most = form.size + address.size + name.size, size = 0;
  char short_line[LONGEST_LINE], *text = most > sizeof short_line ? malloc(most) : short_line;
  const Bytes *next = &address;
  for (const char *at = form.data, *end = at + form.size; text && at < end; at++) {
    if (*at != '%' || !next) {
      text[size++] = *at;
      continue;
    }
    for (Py_ssize_t i = 0; i < next->size; i++) text[size++] = next->data[i];
    next = next == &address ? &name : 0;
    at++;
  }
  if (text) proxy_log(INFO, text, size);
  if (text != short_line) free(text);
  return 1;
}

// Tells of a connection: 0 with an exception if the router's function raised.
static int tell_routed(PyObject *routed, Bytes address, PyObject *cluster) {
  if (Py_TYPE(routed) == bytes_type) return log_line(routed, address, cluster);
  PyObject *told[] = {0, PyBytes_FromStringAndSize(address.data, address.size), cluster};
  PyObject *result = told[1] ? PyObject_Vectorcall(routed, told + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0) : 0;
  if (told[1]) Py_DecRef(told[1]);
  if (result) Py_DecRef(result);
  return result != 0;
}

// Counts a connection, and tells of it: neither decides about it. 0 with an exception if one of the router's methods raised.
static int count_routed(PyObject *router, u32 counter) {
  u32 status = counter ? proxy_increment_metric(counter, 1) : 0;
  if (!status) return 1;
  failed("proxy_increment_metric", status);
  PyObject *result = tell_router(router, ON_UNCOUNTED, PyErr_GetRaisedException(), 0);
  if (result) Py_DecRef(result);
  return result != 0;
}

// What the router's function makes of an address: a cluster, None, an action, or 0 with an exception.
static PyObject *choose_cluster(PyObject *router, const u8 *packed, u32 size) {
  PyObject *source = make_source(packed, size);
  if (!source) return 0;
  PyObject *cluster = call_function(*slot_of(router, choose_word), source, *slot_of(router, argument_word));
  drop_source(source, size);
  return cluster;
}

// Reads the target of a cluster that was not met of late, and returns a new reference to it; 0 with an exception if there is none.
static PyObject *find_target(PyObject *router, PyObject *cluster, Chosen *chosen) {
  PyObject *target = PyDict_GetItemWithError(*slot_of(router, targets_word), cluster);
  if (!target && PyErr_Occurred()) return 0;
  int is_kept = target != 0;
  Py_IncRef(target ? target : cluster);
  if (!target) target = tell_router(router, ADD, cluster, 0);
  if (target && read_target(cluster, target, chosen)) {
    if (is_kept) keep_chosen(latest_router.next++ % CHOSEN, target, *chosen);
    return target;
  }
  if (target) Py_DecRef(target);
  return 0;
}

// Sends a connection to its cluster. The address has data if it is told of.
static PyObject *route_address(PyObject *router, const u8 *packed, u32 size, Bytes address) {
  PyObject *cluster = choose_cluster(router, packed, size), *target = 0, *result = 0;
  if (!cluster) return tell_failure(router, 0);
  if (cluster == none) return cluster;
  const Chosen *met = find_chosen(*slot_of(router, targets_word), cluster);
  if (!met && Py_TYPE(cluster) == action_type) return cluster;
  Chosen chosen;
  if (met) chosen = *met;
  if ((met || (target = find_target(router, cluster, &chosen))) && choose_target(&chosen)) {
    PyObject *routed = *slot_of(router, routed_word);
    int told = count_routed(router, chosen.counter) && (routed == none || !address.data || tell_routed(routed, address, cluster));
    result = told ? new_none() : 0;
  } else result = tell_failure(router, cluster);
  if (target) Py_DecRef(target);
  Py_DecRef(cluster);
  return result;
}

// What a new connection's router makes of it.
static PyObject *route_connection(PyObject *router) {
  char *answer = 0;
  u32 size = 0;
  wants_short_answer = 1;
  u32 status = proxy_get_property(source_address, sizeof source_address - 1, &answer, &size);
  wants_short_answer = 0;
  if (status == NOT_FOUND) return tell_router(router, ON_UNROUTED, new_none(), 0);
  if (status) return failed("proxy_get_property", status), tell_failure(router, 0);
  u8 packed[16];
  u32 length = answer ? read_address(answer, size, packed) : 0;
  PyObject *result;
  char copy[sizeof short_answer];
  Bytes text = {answer, answer ? size : 0};
  if (*slot_of(router, routed_word) == none) text.data = 0;
  else if (answer == short_answer) {
    // The next answer comes to the same place.
    for (u32 i = 0; i < size; i++) copy[i] = answer[i];
    text.data = copy;
  }
  if (length) result = route_address(router, packed, length, text);
  else result = tell_router(router, ON_UNROUTED, PyBytes_FromStringAndSize(answer, text.size), 0);
  drop_answer(answer);
  return result;
}
#endif
