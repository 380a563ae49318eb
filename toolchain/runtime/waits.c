// What CPython would wait in: a sleep, a lock that is held, a queue, a select. Here it raises instead (waits.py puts it in its place).
// So does the start of a thread.
//
// A worker has one thread. While it waits, none of its connections is served, and nobody is left to release the lock.
#include "boundary.h"

PyObject *PYTHON(PyObject_GetAttrString)(PyObject *, const char *);
int PYTHON(PyObject_IsTrue)(PyObject *);
int PYTHON(PyObject_RichCompareBool)(PyObject *, PyObject *, int);
PyObject *PYTHON(PyList_New)(Py_ssize_t);

#define REFUSAL(what) REFUSAL_BUT(what, "")
#define REFUSAL_BUT(what, instead) \
  what " would wait, and nothing may wait in a proxy: one thread serves all connections of a worker. " instead \
       "Call set_tick_period(milliseconds), return, and go on in on_tick()"

#define SLEEP "In an async callback await proxy_wasm.timers.sleep(seconds). Elsewhere: "

enum { LESS = 0 };  // PyObject_RichCompareBool
enum { ZERO = 5 };  // Py_GetConstantBorrowed

static PyObject *raise(const char *kind, const char *text) {
  PyObject *error = PyObject_GetAttrString(PyImport_AddModule("builtins"), kind);
  if (error) PyErr_SetString(error, text), Py_DecRef(error);
  return 0;
}
static PyObject *refuse(const char *text) { return raise("RuntimeError", text); }

static int takes_time(PyObject *duration) { return duration == Py_GetConstantBorrowed(0) || PyObject_IsTrue(duration); }

EXPORT("waits#time_sleep") PyObject *wait_time_sleep(PyObject *module, PyObject *seconds) {
  int negative = PyObject_RichCompareBool(seconds, Py_GetConstantBorrowed(ZERO), LESS);
  if (negative) return negative > 0 ? raise("ValueError", "sleep length must be non-negative") : 0;
  if (takes_time(seconds)) return refuse(REFUSAL_BUT("time.sleep()", SLEEP));
  PyObject *nothing = Py_GetConstantBorrowed(0);
  Py_IncRef(nothing);
  return nothing;
}
// Who does not wait is told that nothing has happened: there is no socket with which anything could.
EXPORT("waits#select_select") PyObject *wait_select(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 4 || takes_time(arguments[3])) return refuse(REFUSAL("select.select()"));
  PyObject *ready = PyTuple_New(3);
  for (Py_ssize_t i = 0; ready && i < 3; i++) PyTuple_SetItem(ready, i, PyList_New(0));
  return ready;
}
EXPORT("waits#select_poll_poll") PyObject *wait_poll(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return count != 1 || takes_time(arguments[0]) ? refuse(REFUSAL("poll()")) : PyList_New(0);
}
EXPORT("waits#_PyMutex_LockTimed") int wait_lock(volatile u8 *mutex, i64 timeout, int flags) {
  if (!(*mutex & LOCKED)) {
    *mutex |= LOCKED;
    return LOCK_ACQUIRED;
  }
  if (!timeout) return LOCK_FAILURE;
  // CPython itself locks without being told of interruptions: it would wait for itself.
  if (!(flags & (HANDLE_SIGNALS | FAIL_IF_INTERRUPTED))) __builtin_trap();
  refuse(REFUSAL("this lock is held: acquire()"));
  return LOCK_INTERRUPTED;
}
EXPORT("waits#do_start_new_thread")
int wait_thread(void *state, PyObject *function, PyObject *arguments, PyObject *keywords, void *handle, int daemon) {
  refuse("there are no threads in a proxy: one thread serves all connections of a worker. "
         "Call set_tick_period(milliseconds), return, and do the work in parts in on_tick()");
  return -1;
}
// What is left of it is an empty queue: it hands on what the other thread gave it, which is null.
EXPORT("waits#_PyParkingLot_Park")
int wait_park(const void *address, const void *expected, u32 size, i64 timeout, void *argument, int detach) {
  refuse(REFUSAL("this queue is empty: get()"));
  return PARKED;
}
