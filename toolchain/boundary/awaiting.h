// Callbacks that are `async def`, most of the time: a coroutine of a stream that waits for `fetch`, and for nothing else meanwhile. Such a
// one begins, is resumed and ends here. All others go to proxy_wasm/_await.py, which says how it works, and does the same.
#ifndef AWAITING_H
#define AWAITING_H
#include "callers.h"

enum { ENDED, WAITS, RAISED = -1 };              // what came of a coroutine
enum { SEND_RETURNED, SEND_YIELDED };           // what PyIter_Send returns
enum { REQUEST_STREAM, RESPONSE_STREAM };

typedef struct {
  u32 head[2];
  PyObject *coroutine, *wait, *result, *context_id, *name, *held;
  const Quick *quick; // the way of its callback, if it began here
} Task;

static PyObject *task_type;      // the SDK's class of a callback's task
static PyObject *coroutine_type;
static PyObject *pause;          // Action.PAUSE

static void task_dealloc(PyObject *self) {
  Task *task = (Task *)self;
  PyObject **slots[] = {&task->coroutine, &task->wait, &task->result, &task->context_id, &task->name, &task->held};
  for (u32 i = 0; i < sizeof slots / sizeof *slots; i++) assign(slots[i], 0);
  release(self);
}

#define TASK_MEMBER(name) {#name, T_OBJECT, __builtin_offsetof(Task, name), 0, 0}
static Member task_members[] = {
  TASK_MEMBER(coroutine), TASK_MEMBER(wait), TASK_MEMBER(result), TASK_MEMBER(context_id), TASK_MEMBER(name),
  TASK_MEMBER(held), {0, 0, 0, 0, 0},
};

static Slot task_slots[] = {{TP_DEALLOC, task_dealloc}, {TP_NEW, wait_new}, {TP_MEMBERS, task_members}, {0, 0}};
static Spec task_spec = {"_proxy_wasm.Task", sizeof(Task), 0, TPFLAGS_BASETYPE, task_slots};

// Calls a method of the SDK's class, which sees to what is below not: 0 with an exception.
static PyObject *ask(Task *task, const char *method, PyObject *argument) {
  PyObject *arguments[] = {0, (PyObject *)task, argument}, *name = PyUnicode_InternFromString(method), *told = 0;
  if (name) told = PyObject_VectorcallMethod(name, arguments + 1, (argument ? 2 : 1) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (name) Py_DecRef(name);
  return told;
}

static void tell_task(Task *task, const char *method, PyObject *argument) {
  PyObject *told = ask(task, method, argument);
  if (told) Py_DecRef(told);
}

// The coroutine raised.
static void tell_error(Task *task, const char *method) {
  PyObject *error = PyErr_GetRaisedException();
  if (!error) return;
  tell_task(task, method, error);
  Py_DecRef(error);
}

// Takes what a coroutine yielded.
static int wait_for(Task *task, PyObject *yielded) {
  if (Py_TYPE(yielded) != fetch_type) {
    PyObject *over = ask(task, "take", yielded);
    int is_over = over ? PyObject_IsTrue(over) : RAISED;
    if (over) Py_DecRef(over);
    return is_over < 0 ? RAISED : is_over ? ENDED : WAITS;
  }
  assign(&((Wait *)yielded)->task, (PyObject *)task);
  assign(&task->wait, yielded);
  return put_into(awaited_calls, ((Fetch *)yielded)->call, yielded) ? WAITS : RAISED;
}

// Runs a coroutine on.
static int run(Task *task) {
  PyObject *given = 0;
  int sent = PyIter_Send(task->coroutine, none, &given);
  if (sent == SEND_RETURNED) {
    assign(&task->result, given);
    Py_DecRef(given);
    return ENDED;
  }
  if (sent != SEND_YIELDED) return RAISED;
  int waits = wait_for(task, given);
  Py_DecRef(given);
  return waits;
}

static u32 context_of(const Task *task) { return PyLong_AsUnsignedLong(task->context_id); }

// Keeps a task that waits.
static int keep(Task *task, u32 context_id) {
  PyObject *tasks = find_in(waiting_tasks, context_id);
  if (tasks) return !PyList_Append(tasks, (PyObject *)task);
  if (!(tasks = PyList_New(1))) return 0;
  Py_IncRef((PyObject *)task);
  PyList_SetItem(tasks, 0, (PyObject *)task);
  int kept = put_into(waiting_tasks, context_id, tasks);
  Py_DecRef(tasks);
  return kept;
}

// Runs what a callback returned, and returns the callback's result.
static PyObject *drive(const Quick *quick, u32 context_id, PyObject *coroutine) {
  PyObject *result = 0;
  int sent = PyIter_Send(coroutine, none, &result);
  if (sent != SEND_YIELDED) {
    Py_DecRef(coroutine);
    return sent == SEND_RETURNED ? result : 0;
  }
  PyObject *yielded = result, *made = PyType_GenericAlloc(task_type, 0);
  result = 0;
  Task *task = (Task *)made;
  if (made && (task->context_id = PyLong_FromUnsignedLong(context_id))) {
    assign(&task->coroutine, coroutine);
    assign(&task->name, quick->method);
    task->quick = quick;
    int waits = wait_for(task, yielded);
    if (waits == ENDED) result = new_reference(task->result);
    else if (waits == WAITS && keep(task, context_id)) result = new_reference(pause);
  }
  Py_DecRef(yielded);
  Py_DecRef(coroutine);
  if (made) Py_DecRef(made);
  return result;
}

// ---- the answer

// Forgets a task that is over, and its only one; 0 if there are others.
static int forget_task(u32 context_id) {
  PyObject *tasks = find_in(waiting_tasks, context_id);
  if (!tasks || PyList_Size(tasks) != 1) return 0;
  drop_from(waiting_tasks, context_id);
  return 1;
}

static int speak_as(u32 context_id) {
  if ((effective ? effective : running) == context_id) return 1;
  u32 wanted = context_id == running ? 0 : context_id, status = proxy_set_effective_context(wanted);
  if (status) return failed("proxy_set_effective_context", status), 0;
  effective = wanted;
  return 1;
}

// Lets the request, or the response, go on for which a coroutine was run that is over. 0 if that is not all there is to do.
static int go_on(Task *task) {
  const Quick *quick = task->quick;
  if (quick->kind != HTTP || (task->held && task->held != none)) return 0;
  if (task->result != none && (Py_TYPE(task->result) != action_type || PyObject_IsTrue(task->result))) return 0;
  u32 context_id = context_of(task);
  PyObject *stream = find_stream(context_id);
  if (!stream || !find_class_of(Py_TYPE(stream), HTTP) || (state_of(stream, HTTP) & (quick->clear | quick->over)) != quick->clear) return 0;
  if (!forget_task(context_id)) return 0;
  change_state(stream, HTTP, quick->clear, 0);
  // The coroutine may have spoken for another.
  if (speak_as(context_id)) {
    u32 status = proxy_continue_stream(quick->clear == 1 ? REQUEST_STREAM : RESPONSE_STREAM);
    if (status) failed("proxy_continue_stream", status);
  }
  return 1;
}

static void resume(Task *task, Wait *wait) {
  wait->value = take_answer();
  if (!wait->value) return tell_error(task, "resume_with");
  assign(&wait->task, 0);
  assign(&task->wait, 0);
  int came = run(task);
  if (came == RAISED) {
    tell_error(task, "broke");
  } else if (came == ENDED && !go_on(task)) {
    PyErr_Clear();
    tell_task(task, "end", 0);
  } else if (PyErr_Occurred()) {
    tell_error(task, "refused");
  }
  // It has the answer still.
  if (stop && !PyErr_Occurred()) PyObject_SetAttr(stop, value_name, none);
}

// Speaks for a task's context in another's callback; 0 if it is gone.
static int speak_for_task(Task *task) {
  u32 context_id = context_of(task), status;
  if (context_id == running) return 1;
  status = proxy_set_effective_context(context_id);
  if (!status) effective = context_id;
  else if (status == BAD_ARGUMENT) tell_task(task, "lost", 0);
  else failed("proxy_set_effective_context", status);
  return !status;
}

// Takes an answer to the coroutine that waits for it, or to the stream that made the call; 0 if Python has to be told.
static int answer_quickly(const u32 *numbers, u32 count) {
  if (!known_streams || !waiting_tasks) return 0;
  u32 context_id = numbers[0];
  PyObject *wait = find_in(awaited_calls, numbers[1]);
  PyObject *made = wait ? ((Wait *)wait)->task : 0;
  int is_quick = made && Py_TYPE(wait) == fetch_type && Py_TYPE(made) == task_type && ((Task *)made)->quick;
  if (is_quick) {
    Speaker outer = begin_callback(context_id);
    Py_IncRef(wait);
    Py_IncRef(made);
    drop_from(awaited_calls, numbers[1]);
    if (speak_for_task((Task *)made)) resume((Task *)made, (Wait *)wait);
    Py_DecRef(wait);
    Py_DecRef(made);
    if (PyErr_Occurred()) raised("proxy_on_http_call_response", context_id, 0, 0);
    end_callback(outer);
  } else if (!wait) {
    is_quick = tell_caller(numbers, count);
  }
  if (!is_quick) PyErr_Clear();
  return is_quick;
}

// set_tasks(class, coroutines, pause, milliseconds): the class of a callback's task, the type of coroutines, Action.PAUSE, and what reads times.
static PyObject *py_set_tasks(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 4) return usage("set_tasks(class, coroutines, pause, milliseconds)");
  assign(&task_type, arguments[0]);
  assign(&coroutine_type, arguments[1]);
  assign(&pause, arguments[2]);
  assign(&milliseconds_of, arguments[3]);
  return new_none();
}

// ---- by callbacks

// go_on(stream, paused, over): lets a request or response go on, in its own name; False if its state is not `paused`, or has `over`.
static PyObject *py_go_on(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 bits[2];
  if (count != 3) return usage("go_on(stream, paused, over)");
  if (!take_numbers(arguments + 1, bits, 2)) return 0;
  PyObject *stream = arguments[0];
  if (!find_class_of(Py_TYPE(stream), HTTP) || (state_of(stream, HTTP) & (bits[0] | bits[1])) != bits[0]) return PyBool_FromLong(0);
  u32 before = effective ? effective : running, status;
  change_state(stream, HTTP, bits[0], 0);
  if (!speak_as(PyLong_AsUnsignedLong(*slot_of(stream, layouts[HTTP].context_id)))) return 0;
  status = proxy_continue_stream(bits[0] == 1 ? REQUEST_STREAM : RESPONSE_STREAM);
  if (status) return failed("proxy_continue_stream", status);
  return before && !speak_as(before) ? 0 : PyBool_FromLong(1);
}
#endif
