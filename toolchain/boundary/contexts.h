// From the proxy's callbacks to Python: which context one is about, and who speaks. Most callbacks have one function of the SDK's to call
// (`_dispatch`). That a stream's method is called without one, most of the time, is below: see `Quick`.
#ifndef CONTEXTS_H
#define CONTEXTS_H
#include "held_back.h"
#include "recent.h"
#include "routing.h"

// ---- who speaks

// The context whose callback runs, and the one in whose name it makes host calls if that is another; 0 if there is no such.
static u32 running HOT, effective HOT;

typedef struct {
  u32 running, effective;
} Speaker;

static Speaker begin_callback(u32 context_id) {
  Speaker outer = {running, effective};
  running = context_id;
  effective = 0;
  wants_short_answer = 0; // that host call is under way, and its answer is not this callback's
  return outer;
}

static void end_callback(Speaker outer) {
  running = outer.running;
  effective = outer.effective;
}

static PyObject *py_speaker(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return count ? usage("speaker()") : PyLong_FromUnsignedLong(effective ? effective : running);
}

// speak_for(context_id): the host calls that follow are made in the name of a context; returns the one that had spoken so far.
static PyObject *py_speak_for(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 1) return usage("speak_for(context_id)");
  u32 context_id = PyLong_AsUnsignedLong(arguments[0]), before = effective ? effective : running;
  if (!~context_id && PyErr_Occurred()) return 0;
  if (context_id != before || !before) {
    u32 wanted = context_id == running ? 0 : context_id, status = proxy_set_effective_context(wanted);
    if (status) return failed("proxy_set_effective_context", status);
    effective = wanted;
  }
  return PyLong_FromUnsignedLong(before);
}

// ---- roots

// What a callback of the ABI can have at most.
#define MOST_NUMBERS 6

// The root context that the last stream came to: nearly always the next one's too. `known_roots` keeps it alive.
static struct {
  u32 context_id;
  PyObject *root;
} latest;

static PyObject *find_root(u32 context_id) {
  if (latest.context_id == context_id) return latest.root;
  PyObject *key = PyLong_FromUnsignedLong(context_id), *root = key ? PyDict_GetItemWithError(known_roots, key) : 0;
  if (key) Py_DecRef(key);
  if (root) latest.context_id = context_id, latest.root = root;
  return root;
}

// ---- quick ways

// What is known of a class of streams, once its first context was made: the SDK has looked at it (`set_class`).
enum {
  PLAIN = 1,  // it is made by its base class's constructor alone
  KEPT = 2,   // its contexts are kept until their end
  SILENT = 4, // and their end is nobody's concern
};
enum { TCP, HTTP, KINDS, MOST_CLASSES = 8 };
typedef struct {
  PyObject *type;
  u32 kind, facts;
} Class;
static Class classes[MOST_CLASSES];
static u32 class_count;

// Where the contexts of a kind have their attributes, in words; those that have no state have no place for it.
static struct {
  u32 context_id, root, state;
} layouts[KINDS];

// Streams of which it is not known whether they are TCP or HTTP; null if the filter has only one of them.
static PyObject *undecided;

// Tasks, and calls, by the contexts that wait for them: there is no quick way for these.
static PyObject *waiting_tasks, *open_calls;

static int is_in(PyObject *dict, PyObject *key) { return dict && PyDict_Size(dict) && PyDict_Contains(dict, key); }

// How a stream is told of a callback without a function of the SDK's in between: its class is known, and has no `slow` fact.
// What the method returns is then the callback's result. An HTTP stream notes that it is paused: `clear` says which bit, unless it is `over`.
// If the stream's state is `odd`, or the result is not an action, it goes to `after`. A coroutine is driven first, if there are any.
typedef struct {
  PyObject *method, *after;
  u32 kind, clear, set, slow, odd, over, awaits;
} Quick;
static PyObject *coroutine_type;
static PyObject *drive(const Quick *quick, PyObject *context_id, PyObject *coroutine);

static const Class *find_class(PyObject *type, u32 kind) {
  for (u32 i = 0; i < class_count; i++)
    if (classes[i].type == type && classes[i].kind == kind) return &classes[i];
  return 0;
}

#define STATE "_state" // the attribute's name

static u32 state_of(PyObject *stream, u32 kind) {
  PyObject *state = layouts[kind].state ? *slot_of(stream, layouts[kind].state) : 0;
  return state ? PyLong_AsUnsignedLong(state) : 0;
}

// A constructor may not have called its base class's: then there is an exception.
static int has_state(PyObject *stream, u32 kind) {
  if (!layouts[kind].state || *slot_of(stream, layouts[kind].state)) return 1;
  PyObject *state = PyObject_GetAttrString(stream, STATE);
  if (state) Py_DecRef(state);
  return 0;
}

static void change_state(PyObject *stream, u32 kind, u32 clear, u32 set) {
  if (!layouts[kind].state) return;
  PyObject **slot = slot_of(stream, layouts[kind].state), *before = *slot;
  u32 state = state_of(stream, kind), changed = (state & ~clear) | set;
  if (before && state == changed) return;
  *slot = PyLong_FromUnsignedLong(changed); // a small one, which is there already
  if (before) Py_DecRef(before);
}

static PyObject *tell(const Quick *quick, PyObject *stream, const u32 *numbers, u32 count) {
  PyObject *arguments[MOST_NUMBERS + 1] = {0, stream}, *result = 0;
  u32 made = 1;
  // The context's number is the stream's own, and the last one says whether the message ends.
  while (made < count) {
    u32 number = numbers[made];
    PyObject *argument = made + 1 == count ? PyBool_FromLong(number != 0) : PyLong_FromUnsignedLong(number);
    if (!argument) break;
    arguments[++made] = argument;
  }
  if (made == count) result = PyObject_VectorcallMethod(quick->method, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
  while (made > 1) Py_DecRef(arguments[made--]);
  return result;
}

// What the SDK makes of a result.
static PyObject *take_result(const Quick *quick, PyObject *stream, PyObject *context_id, PyObject *result) {
  if (result && quick->awaits && Py_TYPE(result) == coroutine_type) result = drive(quick, context_id, result);
  if (!result || !quick->after) return result;
  u32 state = state_of(stream, quick->kind);
  if (!(state & quick->odd) && (result == none || Py_TYPE(result) == action_type)) {
    if (result != none && PyObject_IsTrue(result) == 1 && !(state & quick->over)) change_state(stream, quick->kind, 0, quick->clear);
    return result;
  }
  PyObject *arguments[] = {0, stream, context_id, result};
  PyObject *taken = PyObject_Vectorcall(quick->after, arguments + 1, 3 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(result);
  return taken;
}

// By kind: the root's attribute that is the class of its streams, and what is asked for a stream whose constructor raised.
static PyObject *class_names[KINDS], *unmade[KINDS];

// Makes a stream by its own constructor: `unmade(context_id, root, error)` gives one that stands for it if that raises.
static PyObject *construct(const Class *known, PyObject *context_id, PyObject *root) {
  PyObject *arguments[] = {0, context_id, root, 0};
  PyObject *stream = PyObject_Vectorcall(known->type, arguments + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (!stream && (arguments[3] = PyErr_GetRaisedException())) {
    stream = PyObject_Vectorcall(unmade[known->kind], arguments + 1, 3 | VECTORCALL_ARGUMENTS_OFFSET, 0);
    Py_DecRef(arguments[3]);
  }
  return stream;
}

// Makes a stream, a plain one without Python.
static PyObject *make_stream(const Class *known, PyObject *context_id, PyObject *root) {
  PyObject *stream = known->facts & PLAIN ? PyType_GenericAlloc(known->type, 0) : construct(known, context_id, root);
  if (!stream || !(known->facts & PLAIN)) return stream;
  Py_IncRef(context_id);
  Py_IncRef(root);
  *slot_of(stream, layouts[known->kind].context_id) = context_id;
  *slot_of(stream, layouts[known->kind].root) = root;
  if (layouts[known->kind].state) *slot_of(stream, layouts[known->kind].state) = PyLong_FromUnsignedLong(0);
  return stream;
}

// Makes a stream and tells it; 0 without an exception if there is no quick way.
static PyObject *first_quickly(
    const Quick *quick, u32 root_id, PyObject *root, const u32 *numbers, u32 count, int *is_quick, int *is_over
) {
  PyObject *type = PyObject_GetAttr(root, class_names[quick->kind]);
  const Class *known = type ? find_class(type, quick->kind) : 0;
  if (!type) PyErr_Clear();
  else if (!known && quick->kind == TCP && is_router(type)) {
    *is_quick = *is_over = 1;
    know_router(root_id, root, class_names[TCP], type);
    PyObject *routed = route_connection(type);
    Py_DecRef(type);
    return routed;
  } else Py_DecRef(type); // the root's class, or the root, has it still
  if (!known || known->facts & quick->slow) return 0;
  *is_quick = 1;
  PyObject *context_id = PyLong_FromUnsignedLong(numbers[0]), *stream = context_id ? make_stream(known, context_id, root) : 0;
  PyObject *result = 0;
  if (stream && !(known->facts & KEPT && PyDict_SetItem(known_streams, context_id, stream))) {
    if (known->facts & KEPT) note_recent(numbers[0], stream);
    if (has_state(stream, quick->kind)) {
      change_state(stream, quick->kind, quick->clear, quick->set);
      result = take_result(quick, stream, context_id, tell(quick, stream, numbers, count));
    }
    *is_over = result && (known->facts & (PLAIN | KEPT)) == PLAIN;
    if (!result && !(known->facts & KEPT)) {
      // The failure policy must know what became of it.
      PyObject *error = PyErr_GetRaisedException();
      if (PyDict_SetItem(known_streams, context_id, stream)) PyErr_Clear();
      PyErr_SetRaisedException(error);
    }
  }
  if (stream) Py_DecRef(stream);
  if (context_id) Py_DecRef(context_id);
  return result;
}

// A stream's number: the object that is the key in `known_streams`, if the stream has it.
static PyObject *number_of(const Class *known, PyObject *stream, u32 number) {
  if (!(known->facts & PLAIN)) return PyLong_FromUnsignedLong(number);
  PyObject *context_id = *slot_of(stream, layouts[known->kind].context_id);
  Py_IncRef(context_id);
  return context_id;
}

// Tells a stream that is there already; as above.
static PyObject *tell_quickly(const Quick *quick, const u32 *numbers, u32 count, int *is_quick) {
  PyObject *stream = find_stream(numbers[0]), *context_id = 0, *result = 0;
  const Class *known = stream ? find_class(Py_TYPE(stream), quick->kind) : 0;
  if (known) context_id = number_of(known, stream, numbers[0]);
  if (context_id && !(known->facts & quick->slow) && !is_in(waiting_tasks, context_id)) {
    *is_quick = 1;
    Py_IncRef(stream); // whatever the method does to `known_streams`
    change_state(stream, quick->kind, quick->clear, quick->set);
    result = take_result(quick, stream, context_id, tell(quick, stream, numbers, count));
    Py_DecRef(stream);
  }
  if (context_id) Py_DecRef(context_id);
  else PyErr_Clear();
  return result;
}

// Drops a stream at its end if there is nothing to be told: the quick way of proxy_on_delete.
static int drop(const Quick *quick, PyObject *stream, u32 number) {
  const Class *known = 0;
  for (u32 kind = 0; kind < KINDS && !known; kind++) known = find_class(Py_TYPE(stream), kind);
  PyObject *context_id = known && quick->method && known->facts & SILENT ? number_of(known, stream, number) : 0;
  int dropped = 0;
  if (context_id && !is_in(waiting_tasks, context_id) && !is_in(open_calls, context_id)) {
    Speaker outer = begin_callback(number);
    change_state(stream, known->kind, quick->clear, quick->set);
    dropped = !PyDict_DelItem(known_streams, context_id);
    end_callback(outer);
  }
  if (context_id) Py_DecRef(context_id);
  return dropped;
}

// Forgets a context that is over; 0 if Python has to be told.
static int forget(const Quick *quick, u32 number) {
  if (!known_streams) return 0;
  PyObject *stream = find_stream(number);
  int forgotten = 0;
  if (stream) {
    Py_IncRef(stream);
    note_recent(number, 0);
    forgotten = drop(quick, stream, number);
    Py_DecRef(stream);
  } else {
    PyObject *context_id = PyLong_FromUnsignedLong(number);
    forgotten = context_id && !PyDict_Contains(known_roots, context_id) && !(undecided && PyDict_Contains(undecided, context_id));
    if (context_id) Py_DecRef(context_id);
  }
  if (!forgotten) PyErr_Clear();
  return forgotten;
}

static int take_numbers(PyObject *const *arguments, u32 *numbers, u32 count) {
  for (u32 i = 0; i < count; i++)
    if (!~(numbers[i] = PyLong_AsUnsignedLong(arguments[i])) && PyErr_Occurred()) return 0;
  return 1;
}

// set_class(class, kind, facts)
static PyObject *py_set_class(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 numbers[2];
  if (count != 3) return usage("set_class(class, kind, facts)");
  if (!take_numbers(arguments + 1, numbers, 2)) return 0;
  if (class_count < MOST_CLASSES && !find_class(arguments[0], numbers[0])) {
    Py_IncRef(arguments[0]);
    classes[class_count++] = (Class){arguments[0], numbers[0], numbers[1]};
  }
  return new_none();
}

// set_layout(kind, attribute of the root, unmade, example, its slots' values...): finds out where the slots are. No other has these values.
static PyObject *py_set_layout(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 kind, *found[3];
  if (count < 6 || count > 7 || !take_numbers(arguments, &kind, 1) || kind >= KINDS)
    return usage("set_layout(kind, attribute, unmade, example, context_id, root[, state])");
  found[0] = &layouts[kind].context_id, found[1] = &layouts[kind].root, found[2] = &layouts[kind].state;
  Py_ssize_t slots = count - 4;
  for (Py_ssize_t i = 0; i < slots; i++)
    if (!(*found[i] = find_slot(arguments[3], arguments[4 + i], slots)))
      return usage("set_layout(): the example does not have its slots where objects have them");
  Py_DecRef(replace(&unmade[kind], arguments[2]));
  return replace(&class_names[kind], arguments[1]);
}

// ---- calling Python

// A stream is made and told of its first callback in one call: `function(context_id, root, *more)`. A root whose constructor raised has
// no object: that is as if there were no filter.
static PyObject *call_first(PyObject *function, PyObject *root, const u32 *numbers, u32 count) {
  PyObject *result = 0, *arguments[MOST_NUMBERS + 2] = {0};
  u32 made = 0;
  while (made < count && (arguments[made ? made + 2 : 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
  arguments[2] = root;
  if (made == count)
    result = PyObject_Vectorcall(function, arguments + 1, (count + 1) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  while (made-- > 0) Py_DecRef(arguments[made ? made + 2 : 1]);
  return result;
}

// What a callback gives back. A failure's value is the fallback; None never failed.
static u32 take_value(
    const char *callback, PyObject *result, u32 context_id, u32 parent_context_id, u32 fallback, Reader *read
) {
  u32 value = result ? read(callback, result, fallback) : fallback;
  if (value != fallback || result == none || !PyErr_Occurred()) return value;
  return raised(callback, context_id, parent_context_id, fallback);
}

// A new connection whose router is known already.
static int is_routed(u32 parent_context_id) { return has_known_router(parent_context_id) && is_router(latest_router.router); }

static u32 run_routed(const char *callback, u32 context_id, u32 parent_context_id, u32 fallback, Reader *read) {
  Speaker outer = begin_callback(context_id);
  PyObject *router = latest_router.router;
  Py_IncRef(router); // whatever its function does to the root
  u32 value = take_value(callback, route_connection(router), context_id, parent_context_id, fallback, read);
  Py_DecRef(router);
  note_over(context_id);
  end_callback(outer);
  return value;
}

static u32 run_first(
    PyObject *function, const Quick *quick, const char *callback, const u32 *numbers, u32 count, u32 parent_context_id,
    u32 fallback, Reader *read
) {
  PyObject *root = find_root(parent_context_id), *result = 0;
  if (!root && !PyErr_Occurred()) return fallback;
  Speaker outer = begin_callback(numbers[0]);
  int is_quick = 0, is_over = 0;
  if (root && quick->method) result = first_quickly(quick, parent_context_id, root, numbers, count, &is_quick, &is_over);
  if (root && !is_quick) result = call_first(function, root, numbers, count);
  u32 value = take_value(callback, result, numbers[0], parent_context_id, fallback, read);
  if (is_over) note_over(numbers[0]);
  end_callback(outer);
  return value;
}

static PyObject *call(PyObject *function, const u32 *numbers, u32 count) {
  PyObject *arguments[MOST_NUMBERS + 1] = {0}, *result = 0;
  u32 made = 0;
  while (made < count && (arguments[made + 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
  if (made == count) result = PyObject_Vectorcall(function, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
  while (made) Py_DecRef(arguments[made--]);
  return result;
}

static u32 run_callback(
    PyObject *function, const Quick *quick, const char *callback, const u32 *numbers, u32 count, u32 fallback, Reader *read
) {
  if (!function) return fallback;
  Speaker outer = begin_callback(numbers[0]);
  int is_quick = 0;
  PyObject *result = quick->method && known_streams ? tell_quickly(quick, numbers, count, &is_quick) : 0;
  if (!is_quick) result = call(function, numbers, count);
  u32 value = take_value(callback, result, numbers[0], 0, fallback, read);
  end_callback(outer);
  return value;
}

#endif
