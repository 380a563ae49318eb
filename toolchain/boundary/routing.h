// The quick way of proxy_wasm.routing: what `SourceRouter.connect` does in Python, but that the host calls follow one another without Python
// between them. Only the author's function is called, and for what a table has not even that. What is not as usual goes to the router's own
// methods.
#ifndef ROUTING_H
#define ROUTING_H
#include "address.h"
#include "source_table.h"

static PyObject *router_type; // `SourceRouter`

// A router as CPython lays it out: its slots, sorted by name, behind what every object has. `set_router` makes sure of it.
typedef struct {
  u32 head[2];
  PyObject *argument, *choose, *routed, *targets;
} Router;

// The names of a router's methods.
enum { ADD, ON_UNROUTED, ON_FAILED, ON_UNCOUNTED, ON_UNSET, METHODS };
static PyObject *router_methods[METHODS];

// What the host is asked for, in one cache line.
static struct {
  char source_address[14], set_filter_state[22];
} wanted_names HOT LINE = {"source\0address", "set_envoy_filter_state"};
enum { INFO = 2, LONGEST_LINE = 256 };

// set_router(class, names of its methods, example, choose, argument, targets, routed)
static PyObject *py_set_router(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  enum { SLOTS = 4 };
  if (count != 3 + SLOTS) return usage("set_router(class, methods, example, choose, argument, targets, routed)");
  for (u32 i = 0; i < METHODS; i++) {
    PyObject *name = PyTuple_GetItem(arguments[1], i);
    if (!name) return 0;
    Py_DecRef(replace(&router_methods[i], name));
  }
  const Router *example = (const Router *)arguments[2];
  if (example->choose != arguments[3] || example->argument != arguments[4] || example->targets != arguments[5] ||
      example->routed != arguments[6])
    return usage("set_router(): the example does not have its slots where objects have them");
  bytes_word = find_bytes_word();
  return replace(&router_type, arguments[0]);
}

// A router whose constructor did not call its base class's is left to Python.
static int is_made(const Router *router) { return router->choose && router->argument && router->targets && router->routed; }

static int is_router(PyObject *object) {
  return router_type && PyType_IsSubtype(Py_TYPE(object), router_type) && is_made((const Router *)object);
}

// Calls a router's method with one argument, which is given away, or two.
static OUT_OF_LINE PyObject *tell_router(Router *router, u32 method, PyObject *first, PyObject *second) {
  PyObject *arguments[] = {0, (PyObject *)router, first, second};
  if (!first) return 0;
  assign(&latest_router.targets, 0); // whatever the method does to them
  PyObject *result =
      PyObject_VectorcallMethod(router_methods[method], arguments + 1, (second ? 3 : 2) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(first);
  return result;
}

static PyObject *tell_failure(Router *router, PyObject *cluster) {
  return tell_router(router, ON_FAILED, PyErr_GetRaisedException(), cluster ? cluster : none);
}

// The proxy did not take a cluster, which is given away.
static OUT_OF_LINE PyObject *tell_refused(Router *router, PyObject *cluster) {
  PyObject *result = tell_failure(router, cluster);
  Py_DecRef(cluster);
  return result;
}

static void drop_answer(char *answer) {
  if (answer && answer != short_answer) free(answer);
}

static OUT_OF_LINE int refuse_target(u32 status) {
  PyObject *about = PyBytes_FromStringAndSize(wanted_names.set_filter_state, sizeof wanted_names.set_filter_state);
  if (about) {
    failed_about("proxy_call_foreign_function", status, about);
    Py_DecRef(about);
  }
  return 0;
}

// Makes tcp_proxy choose a cluster. 0 with an exception if the proxy does not take it.
static int choose_target(const Chosen *chosen) {
  char *answer = 0;
  u32 size = 0;
  wanted_answer = SHORT_ANSWER;
  u32 status = proxy_call_foreign_function(
      wanted_names.set_filter_state, sizeof wanted_names.set_filter_state, chosen->message, chosen->size, &answer, &size
  );
  wanted_answer = NO_ANSWER;
  if (answer) drop_answer(answer);
  return !status || refuse_target(status);
}

// Writes a line to the log: it has %b for the address and %b for the cluster.
static OUT_OF_LINE int log_line(PyObject *line, Bytes address, PyObject *cluster) {
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

static OUT_OF_LINE int give_up_counting(Router *router, u32 status) {
  failed("proxy_increment_metric", status);
  PyObject *result = tell_router(router, ON_UNCOUNTED, PyErr_GetRaisedException(), 0);
  if (result) Py_DecRef(result);
  return result != 0;
}

// Counts a connection, which decides nothing about it. 0 with an exception if one of the router's methods raised.
static int count_routed(Router *router, u32 counter) {
  u32 status = counter ? proxy_increment_metric(counter, 1) : 0;
  return !status || give_up_counting(router, status);
}

// Sets the property of a target, if it has one. 0 with an exception if it is none, or one of the router's methods raised.
static int set_target_property(Router *router, PyObject *target) {
  PyObject *property = PyTuple_GetItem(target, 2), *result = 0;
  if (property == none) return 1;
  PyObject *path = PyTuple_GetItem(property, 0), *value = path ? PyTuple_GetItem(property, 1) : 0;
  Bytes at, text;
  if (!value || !take_bytes(path, &at) || !take_bytes(value, &text)) return 0;
  u32 status = proxy_set_property(at.data, at.size, text.data, text.size);
  if (!status) return 1;
  failed("proxy_set_property", status);
  result = tell_router(router, ON_UNSET, PyErr_GetRaisedException(), 0);
  if (result) Py_DecRef(result);
  return result != 0;
}

// What a function makes of an address: a cluster, None, an action, or 0 with an exception.
static IN_LINE PyObject *ask_function(PyObject *function, PyObject *argument, const u8 *packed, u32 size) {
  PyObject *source = make_source(packed, size);
  if (!source) return 0;
  PyObject *cluster = call_function(function, source, argument);
  drop_source(source, size);
  return cluster;
}

// The same of the router's table, or of a function that was not met before.
static __attribute__((noinline)) PyObject *look_up_or_ask(Router *router, const u8 *packed, u32 size) {
  PyObject *function = router->choose, *cluster = look_up(&function, packed, size);
  return cluster ? cluster : ask_function(function, router->argument, packed, size);
}

static IN_LINE PyObject *choose_cluster(Router *router, const u8 *packed, u32 size) {
  PyObject *function = router->choose;
  return function == latest_router.choose ? ask_function(function, router->argument, packed, size) : look_up_or_ask(router, packed, size);
}

// Reads the target of a cluster, and returns a new reference to it; 0 with an exception if there is none.
static PyObject *find_target(Router *router, PyObject *cluster, Chosen *chosen) {
  const Chosen *met = find_chosen(router->targets, cluster);
  if (met) {
    PyObject *known = chosen_targets[met - latest_router.chosen];
    *chosen = *met;
    Py_IncRef(known);
    return known;
  }
  PyObject *target = PyDict_GetItemWithError(router->targets, cluster);
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

// Sends a connection to the cluster that the router's function has returned, whatever that is. The address has data if it is told of.
static OUT_OF_LINE PyObject *route_to(Router *router, PyObject *cluster, Bytes address) {
  PyObject *target = 0, *result = 0;
  if (!cluster) return tell_failure(router, 0);
  if (cluster == none) return cluster;
  if (Py_TYPE(cluster) == action_type) return cluster;
  Chosen chosen;
  if ((target = find_target(router, cluster, &chosen)) && set_target_property(router, target) && choose_target(&chosen)) {
    PyObject *routed = router->routed;
    int told = count_routed(router, chosen.counter) && (routed == none || !address.data || tell_routed(routed, address, cluster));
    result = told ? new_none() : 0;
  } else result = tell_failure(router, cluster);
  if (target) Py_DecRef(target);
  Py_DecRef(cluster);
  return result;
}

// Decides about a connection by whatever the host says of its address.
static OUT_OF_LINE PyObject *route_any(Router *router, u32 status, char *answer, u32 size) {
  if (status == NOT_FOUND) return tell_router(router, ON_UNROUTED, new_none(), 0);
  if (status) return failed("proxy_get_property", status), tell_failure(router, 0);
  u8 packed[16];
  u32 length = answer ? read_address(answer, size, packed) : 0;
  PyObject *result;
  char copy[sizeof short_answer];
  Bytes text = {answer, answer ? size : 0};
  if (router->routed == none) text.data = 0;
  else if (answer == short_answer) {
    // The next answer comes to the same place.
    for (u32 i = 0; i < size; i++) copy[i] = answer[i];
    text.data = copy;
  }
  if (length) result = route_to(router, choose_cluster(router, packed, length), text);
  else result = tell_router(router, ON_UNROUTED, PyBytes_FromStringAndSize(answer, text.size), 0);
  drop_answer(answer);
  return result;
}

// What a new connection's router makes of it. The usual way is here, in one piece, so that it is in few cache lines: an IPv4 address, a cluster
// that was met of late and has no property, and nobody to tell of it.
static IN_LINE PyObject *route_quickly(Router *router) {
  char *answer = 0;
  u32 size = 0, packed;
  wanted_answer = SHORT_ANSWER;
  u32 status = proxy_get_property(wanted_names.source_address, sizeof wanted_names.source_address, &answer, &size);
  wanted_answer = NO_ANSWER;
  if (status || answer != short_answer || router->routed != none || !read_ipv4(short_answer, short_answer + size, &packed))
    return route_any(router, status, answer, size);
  PyObject *cluster = choose_cluster(router, (const u8 *)&packed, sizeof packed);
  const Chosen *met = cluster ? find_chosen(router->targets, cluster) : 0;
  u32 counter = met ? met->counter : 0;
  if (met && met->has_property) met = 0;
  if (!met || !choose_target(met)) return met ? tell_refused(router, cluster) : route_to(router, cluster, (Bytes){0, 0});
  PyObject *result = count_routed(router, counter) ? none : 0;
  Py_DecRef(cluster);
  return result;
}

static OUT_OF_LINE PyObject *route_connection(Router *router) { return route_quickly(router); }
#endif
