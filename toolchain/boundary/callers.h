// Who made which HTTP call, and the context that is told of its answer, as proxy_wasm/_http.py and `_dispatch` have it in Python.
#ifndef CALLERS_H
#define CALLERS_H
#include "boundary.h"

static PyObject *callers;        // the context that made a call, by the call's number; null if nobody wants to know
static PyObject *answer_method;  // the method that is told
static int tells_callers;        // nobody else is told of answers

static int note_caller(PyObject *call) {
  u32 speaker = effective ? effective : running;
  if (!callers || !speaker) return 1;
  PyObject *caller = PyLong_FromUnsignedLong(speaker), *calls = caller ? PyDict_GetItemWithError(open_calls, caller) : 0;
  int noted = caller && !PyErr_Occurred() && !PyDict_SetItem(callers, call, caller);
  if (noted && !calls) {
    calls = PySet_New(0);
    noted = calls && !PyDict_SetItem(open_calls, caller, calls);
    if (calls) Py_DecRef(calls); // the dict has it
  }
  noted = noted && !PySet_Add(calls, call);
  if (caller) Py_DecRef(caller);
  return noted;
}

// http_call(cluster, headers, body=b"", trailers=(), timeout_milliseconds=5000)
static PyObject *py_http_call(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
  enum { TO, SENT, WITH, END, WITHIN, ALL_OF_THEM };
  static const char *const names[] = {"cluster", "headers", "body", "trailers", "timeout_milliseconds"};
  PyObject *given[ALL_OF_THEM] = {0}, *number = 0;
  Texts headers, trailers;
  Bytes cluster, body;
  u32 milliseconds = USUAL_TIMEOUT;
  if (!take_parameters(names, ALL_OF_THEM, ALL_OF_THEM, arguments, count, keywords, given) || !given[SENT])
    return usage("http_call(cluster, headers, body=b\"\", trailers=(), timeout_milliseconds=5000)");
  begin_texts(&headers);
  begin_texts(&trailers);
  if (add_headers(&headers, given[SENT], 1) && (!given[END] || add_headers(&trailers, given[END], 1)) &&
      take_text(given[TO], &cluster, "cluster") && take_text(given[WITH], &body, "body") &&
      (!given[WITHIN] || take_milliseconds(given[WITHIN], &milliseconds)))
    number = send_call(cluster, &headers, body, &trailers, milliseconds);
  end_texts(&headers);
  end_texts(&trailers);
  if (!number || note_caller(number)) return number;
  Py_DecRef(number);
  return 0;
}

// Forgets who made a call, and returns its number; 0 if nobody did.
static u32 take_caller(PyObject *call) {
  PyObject *caller = PyDict_GetItemWithError(callers, call), *calls;
  if (!caller) return 0;
  u32 number = PyLong_AsUnsignedLong(caller);
  Py_IncRef(caller);
  PyDict_DelItem(callers, call);
  calls = PyDict_GetItemWithError(open_calls, caller);
  if (calls && PySet_Discard(calls, call) >= 0 && !PySet_Size(calls)) PyDict_DelItem(open_calls, caller);
  Py_DecRef(caller);
  return number;
}

// Whether a stream is one of the classes that the SDK has looked at.
static int is_known(PyObject *stream) {
  return find_class(Py_TYPE(stream), HTTP) || find_class(Py_TYPE(stream), TCP);
}

// Tells a stream of the answer to its call; 0 if Python has to see to it.
static int tell_caller(const u32 *numbers, u32 count, PyObject *call) {
  if (!tells_callers) return 0;
  PyObject *caller = PyDict_GetItemWithError(callers, call), *stream = caller ? find_stream(PyLong_AsUnsignedLong(caller)) : 0;
  if (!stream || !is_known(stream)) return 0;
  u32 context_id = take_caller(call);
  if (PyErr_Occurred()) return 0;
  Speaker outer = begin_callback(numbers[0]);
  u32 status = context_id == running ? 0 : proxy_set_effective_context(context_id);
  if (!status) {
    PyObject *arguments[MOST_NUMBERS + 1] = {0, stream}, *result = 0;
    u32 made = 1;
    if (context_id != running) effective = context_id;
    Py_IncRef(stream);
    while (made < count && (arguments[made + 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
    if (made == count) result = PyObject_VectorcallMethod(answer_method, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
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

// set_waiting(tasks, calls, callers, tells): dicts by the numbers of contexts, and of calls; and whether callers are told and nobody else.
static PyObject *py_set_waiting(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 4) return usage("set_waiting(tasks, calls, callers, tells)");
  assign(&waiting_tasks, arguments[0]);
  assign(&open_calls, arguments[1]);
  assign(&callers, arguments[2] == none ? 0 : arguments[2]);
  tells_callers = callers && PyObject_IsTrue(arguments[3]) == 1;
  return answer_method || (answer_method = PyUnicode_InternFromString("on_http_call_response")) ? new_none() : 0;
}
#endif
