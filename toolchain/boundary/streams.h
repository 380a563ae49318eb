// Who speaks while a callback runs, and the contexts that there are: roots, and streams with their state.
#ifndef STREAMS_H
#define STREAMS_H
#include "classes.h"

// ---- who speaks

// The context whose callback runs, and the one in whose name it makes host calls if that is another; 0 if there is no such.
static u32 running HOT, effective HOT;

typedef struct {
  u32 running, effective;
  PyObject *answer;
} Speaker;

static Speaker begin_callback(u32 context_id) {
  Speaker outer = {running, effective, answer};
  running = context_id;
  effective = 0;
  wanted_answer = NO_ANSWER; // that host call is under way, and its answer is not this callback's
  answer = 0;
  return outer;
}

static void end_callback(Speaker outer) {
  running = outer.running;
  effective = outer.effective;
  answer = outer.answer;
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

// ---- streams

// Streams that are kept, by their contexts.
static Table *known_streams;

// A borrowed reference; 0 without an exception if there is no such stream.
static PyObject *find_stream(u32 number) { return find_in(known_streams, number); }

// Streams of which it is not known whether they are TCP or HTTP; null if the filter has only one of them.
static PyObject *undecided;

// Tasks, and calls, by the contexts that wait for them: there is no quick way for these.
static Table *waiting_tasks, *open_calls;

// How a stream is told of a callback without a function of the SDK's in between: its class is known, and has no `slow` fact.
// What the method returns is then the callback's result. An HTTP stream notes that it is paused: `clear` says which bit, unless it is `over`.
// If the stream's state is `odd`, or the result is not an action, it goes to `after`. A coroutine is driven first, if there are any.
typedef struct {
  PyObject *method, *after;
  u32 callback, kind, clear, set, slow, odd, over, awaits;
} Quick;

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
  if (before == zero && !set) return;
  u32 state = state_of(stream, kind), changed = (state & ~clear) | set;
  if (before && state == changed) return;
  *slot = PyLong_FromUnsignedLong(changed); // a small one, which is there already
  if (before) Py_DecRef(before);
}

// Calls a method of a stream, which is `arguments[1]`.
static PyObject *call_method(Class *known, u32 callback, PyObject *name, PyObject **arguments, u32 count) {
  PyObject *method = method_of(known, arguments[1], callback, name), *result;
  if (!method) return PyObject_VectorcallMethod(name, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_IncRef(method); // whatever becomes of the class meanwhile
  result = PyObject_Vectorcall(method, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(method);
  return result;
}
#endif
