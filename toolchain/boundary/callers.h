// Who made which HTTP call, and the context that is told of its answer, as proxy_wasm/_http.py and `_dispatch` have it in Python.
#ifndef CALLERS_H
#define CALLERS_H
#include "calls.h"
#include "streams.h"

static Table *callers;           // the number of the context that made a call, by the call's; null if nobody wants to know
static PyObject *answer_method;  // the method that is told
static int tells_callers;        // nobody else is told of answers
static PyObject *set_type;

// A context's only open call is its number, and several are a set.
static int note_open(u32 context_id, PyObject *call) {
  PyObject *calls = find_in(open_calls, context_id);
  if (!calls) return put_into(open_calls, context_id, call);
  if (Py_TYPE(calls) == set_type) return !PySet_Add(calls, call);
  PyObject *both = PySet_New(0);
  int noted = both && !PySet_Add(both, calls) && !PySet_Add(both, call) && put_into(open_calls, context_id, both);
  Py_DecRef(both);
  return noted;
}

static int note_caller(u32 number, PyObject *call) {
  u32 speaker = effective ? effective : running;
  if (!callers || !speaker) return 1;
  PyObject *caller = PyLong_FromUnsignedLong(speaker);
  int noted = caller && put_into(callers, number, caller) && note_open(speaker, call);
  Py_DecRef(caller);
  return noted;
}

// http_call(cluster, headers, body=b"", trailers=(), timeout_milliseconds=5000)
static PyObject *py_http_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
  enum { TO, SENT, WITH, END, WITHIN, ALL_OF_THEM };
  static const char *const names[] = {"cluster", "headers", "body", "trailers", "timeout_milliseconds"};
  PyObject *given[ALL_OF_THEM] = {0}, *number = 0;
  Texts headers, trailers;
  Bytes body;
  u32 milliseconds = USUAL_TIMEOUT, call;
  if (!take_parameters(names, ALL_OF_THEM, ALL_OF_THEM, arguments, count, keywords, given) || !given[SENT])
    return usage("http_call(cluster, headers, body=b\"\", trailers=(), timeout_milliseconds=5000)");
  begin_texts(&headers);
  begin_texts(&trailers);
  if (add_headers(&headers, given[SENT], 1) && (!given[END] || add_headers(&trailers, given[END], 1)) &&
      take_text(given[WITH], &body, "body") && (!given[WITHIN] || take_milliseconds(given[WITHIN], &milliseconds)) &&
      send_call(given[TO], &headers, body, &trailers, milliseconds, &call))
    number = PyLong_FromUnsignedLong(call);
  end_texts(&headers);
  end_texts(&trailers);
  if (!number || note_caller(call, number)) return number;
  Py_DecRef(number);
  return 0;
}

// The context that made a call; 0 if nobody did.
static u32 caller_of(u32 call) {
  PyObject *caller = find_in(callers, call);
  return caller ? PyLong_AsUnsignedLong(caller) : 0;
}

// Forgets who made a call.
static void forget_call(u32 call, u32 context_id) {
  drop_from(callers, call);
  PyObject *calls = find_in(open_calls, context_id), *number;
  if (calls && Py_TYPE(calls) == set_type && (number = PyLong_FromUnsignedLong(call))) {
    PySet_Discard(calls, number);
    Py_DecRef(number);
  }
  if (calls && (Py_TYPE(calls) != set_type || !PySet_Size(calls))) drop_from(open_calls, context_id);
}

// Tells a stream of the answer to its call; 0 if Python has to see to it.
static int tell_caller(const u32 *numbers, u32 count) {
  if (!tells_callers) return 0;
  u32 context_id = caller_of(numbers[1]);
  PyObject *stream = context_id ? find_stream(context_id) : 0;
  Class *known = stream ? find_class(Py_TYPE(stream)) : 0;
  if (!known) return 0;
  forget_call(numbers[1], context_id);
  if (PyErr_Occurred()) return 0;
  Speaker outer = begin_callback(numbers[0]);
  u32 status = context_id == running ? 0 : proxy_set_effective_context(context_id);
  if (!status) {
    PyObject *arguments[MOST_NUMBERS + 1], *result = 0;
    u32 made = 1;
    if (context_id != running) effective = context_id;
    arguments[1] = stream;
    Py_IncRef(stream);
    while (made < count && (arguments[made + 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
    if (made == count) result = call_method(known, ANSWER, answer_method, arguments, count);
    while (made > 1) Py_DecRef(arguments[made--]);
    Py_DecRef(stream);
    if (result) Py_DecRef(result);
    else raised("proxy_on_http_call_response", context_id, context_id == numbers[0] ? 0 : numbers[0], 0);
  } else if (status != BAD_ARGUMENT) {
    failed("proxy_set_effective_context", status);
    raised("proxy_on_http_call_response", numbers[0], 0, 0);
  }
  end_callback(outer);
  return 1;
}

// set_waiting(tasks, calls, callers, tells): tables by the numbers of contexts, and of calls; and whether callers are told and nobody else.
static PyObject *py_set_waiting(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 4) return usage("set_waiting(tasks, calls, callers, tells)");
  if (!as_table(arguments[0], &waiting_tasks) || !as_table(arguments[1], &open_calls)) return 0;
  callers = 0;
  if (arguments[2] != none && !as_table(arguments[2], &callers)) return 0;
  tells_callers = callers && PyObject_IsTrue(arguments[3]) == 1;
  return answer_method || (answer_method = PyUnicode_InternFromString("on_http_call_response")) ? new_none() : 0;
}
#endif
