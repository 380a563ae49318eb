// What stackguard.py has called where CPython's recursion in C is to end (cpython/recursion.py says where).
#include "boundary.h"

PyObject *PYTHON(PyObject_GetAttrString)(PyObject *, const char *);
Py_ssize_t PYTHON(PyObject_Size)(PyObject *);
Py_ssize_t PYTHON(PyTuple_Size)(PyObject *);
PyObject *PYTHON(PyTuple_GetItem)(PyObject *, Py_ssize_t);
void PYTHON(PyErr_SetRaisedException)(PyObject *);
void PYTHON(PyErr_WriteUnraisable)(PyObject *);
int PYTHON(PyObject_CallFinalizerFromDealloc)(PyObject *);
PyObject *PYTHON(PyObject_CallOneArg)(PyObject *, PyObject *);

// Kept from the start: near the limit, nothing can be looked up.
static PyObject *value_error, *recursion_error, *import_error;

void start_recursion(void) {
  PyObject *builtins = PyImport_AddModule("builtins");
  value_error = PyObject_GetAttrString(builtins, "ValueError");
  recursion_error = PyObject_GetAttrString(builtins, "RecursionError");
  import_error = PyObject_GetAttrString(builtins, "ImportError");
}

EXPORT("stackguard#refuse") int refuse(void) { return Py_EnterRecursiveCall(" in C"); }

EXPORT("stackguard#refuse_marshal") int refuse_marshal(void) {
  PyErr_SetString(value_error, "bad marshal data (object too deeply nested)");
  return 1;
}

EXPORT("stackguard#no_sqlite") PyObject *no_sqlite(void) {
  PyErr_SetString(import_error, "there is no sqlite3 in a proxy: a deep query would use up the stack, and end the VM");
  return 0;
}

EXPORT("stackguard#refuse_bases") int refuse_bases(PyObject *bases) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(bases); i++) {
    PyObject *mro = PyObject_GetAttrString(PyTuple_GetItem(bases, i), "__mro__");
    Py_ssize_t classes = mro ? PyObject_Size(mro) : 0;
    PyErr_Clear();
    if (mro) Py_DecRef(mro);
    if (classes < CLASSES) continue;
    PyErr_SetString(recursion_error, "too many classes in the hierarchy of a class");
    return 1;
  }
  return 0;
}

// What Python code does when an object goes may let go of another one, and so on. Near the limit CPython puts objects aside, and
// comes back to them when there is stack again: code that makes its like for each one that goes would never end. It ends here, as it
// does natively by the limit of Python's own recursion, which is further than this stack reaches: what an object does when it goes is a
// RecursionError if it goes within what another one does, and the stack is nearly used up. NEARLY is more than CPython's margin, below
// which objects are put aside; TIMES is for what leaps over it.
enum { NEARLY = RECURSION_LIMIT + 0x10000, DEEP = RECURSION_LIMIT + 0x40000, TIMES = 10000 };
static u32 depth, deep_ones;

// CPython's stack pointer: this module has a stack of its own. stackguard.py puts the answer in.
EXPORT("stackguard#stack_pointer") __attribute__((noinline)) u32 stack_pointer(void) {
  static volatile u32 answer;
  return answer;
}

static int enter(void) {
  u32 here = depth ? stack_pointer() : 0;
  if (depth && (here < NEARLY || (here < DEEP && deep_ones++ > TIMES))) return 0;
  depth++;
  return 1;
}

static void leave(void) {
  if (!--depth) deep_ones = 0;
}

EXPORT("stackguard#finalize") int finalize(PyObject *object) {
  static int telling; // who tells of an error opens files, in vain, and these have finalizers too
  int result = 0;
  if (enter()) {
    result = PyObject_CallFinalizerFromDealloc(object);
    leave();
  } else if (!telling) {
    // As in CPython's own: the collector may run meanwhile, and must not find an object without a reference.
    u32 *references = (u32 *)object;
    telling = 1;
    *references = 1;
    PyObject *error = PyErr_GetRaisedException();
    PyErr_SetString(recursion_error, "maximum recursion depth exceeded in a finalizer");
    PyErr_WriteUnraisable(0);
    PyErr_SetRaisedException(error);
    result = --*references ? -1 : 0;
    telling = 0;
  }
  return result;
}

EXPORT("stackguard#weakref_callback") PyObject *weakref_callback(PyObject *function, PyObject *reference) {
  if (!enter()) {
    PyErr_SetString(recursion_error, "maximum recursion depth exceeded in a weak reference's callback");
    return 0;
  }
  PyObject *result = PyObject_CallOneArg(function, reference);
  leave();
  return result;
}
