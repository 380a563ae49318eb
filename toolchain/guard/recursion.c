// What stackguard.py has called where CPython's recursion in C is to end (cpython/recursion.py says where).
#include "boundary.h"

PyObject *PYTHON(PyObject_GetAttrString)(PyObject *, const char *);
Py_ssize_t PYTHON(PyObject_Size)(PyObject *);
Py_ssize_t PYTHON(PyTuple_Size)(PyObject *);
PyObject *PYTHON(PyTuple_GetItem)(PyObject *, Py_ssize_t);
void PYTHON(PyErr_SetRaisedException)(PyObject *);
void PYTHON(PyErr_WriteUnraisable)(PyObject *);
int PYTHON(Py_GetRecursionLimit)(void);
PyObject *PYTHON(Py_GetConstant)(u32);
void PYTHON(PyObject_CallFinalizer)(PyObject *);
int PYTHON(PyObject_CallFinalizerFromDealloc)(PyObject *);
PyObject *PYTHON(PyObject_VectorcallMethod)(PyObject *, PyObject *const *, u32, PyObject *);
PyObject *PYTHON(PyObject_CallOneArg)(PyObject *, PyObject *);

// Kept from the start: near the limit, nothing can be looked up.
static PyObject *value_error, *recursion_error, *import_error, *runtime_error;

// How many calls of Python may still nest, and how many may at all: two words of the thread state, and a third that is zero.
static const u32 *calls_left;

static int find_calls(void) {
  enum { USED = 100 };
  const u32 *words = PyThreadState_Get(), most = (u32)Py_GetRecursionLimit();
  for (u32 i = 0; i < THREAD_STATE && !calls_left; i++)
    if (words[i + 1] == most && words[i] <= most && words[i] > most - USED && !words[i + 2]) calls_left = words + i;
  return calls_left != 0;
}

int start_recursion(void) {
  PyObject *builtins = PyImport_AddModule("builtins");
  value_error = PyObject_GetAttrString(builtins, "ValueError");
  recursion_error = PyObject_GetAttrString(builtins, "RecursionError");
  import_error = PyObject_GetAttrString(builtins, "ImportError");
  runtime_error = PyObject_GetAttrString(builtins, "RuntimeError");
  return find_calls();
}

EXPORT("stackguard#refuse") int refuse(void) { return Py_EnterRecursiveCall(" in C"); }

EXPORT("stackguard#refuse_marshal") int refuse_marshal(void) {
  PyErr_SetString(value_error, "bad marshal data (object too deeply nested)");
  return 1;
}

EXPORT("stackguard#no_module") PyObject *no_module(void) {
  PyErr_SetString(import_error, "this module of C is not in the filter: name it in keep, "
                                "an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml");
  return 0;
}

EXPORT("stackguard#no_end") PyObject *no_end(void) {
  PyErr_SetString(runtime_error, "this would end the VM, and all that it does for connections: raise an exception instead");
  return 0;
}

// Whether the filter is built without CPython's compiler (cpython/compiler.py).
static int compiler_is_left_out;
EXPORT("build_leave_out_compiler") void leave_out_compiler(void) { compiler_is_left_out = 1; }

EXPORT("stackguard#no_compiler") int no_compiler(void) {
  if (compiler_is_left_out)
    PyErr_SetString(runtime_error, "the filter was built without CPython's compiler, as no module of it calls compile, eval or exec: "
                                   "name _ast in keep, an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml");
  return compiler_is_left_out;
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
// comes back to them when there is stack again: code that makes its like for each one that goes would never end. Natively the limit of
// Python's own recursion ends it, which is further than this stack reaches. So it ends here: what an object does when it goes is a
// RecursionError if the stack is nearly used up, and code of Python that runs for another one let it go.
//
// A chain is another matter: what an object holds may go after its code has returned, and all of them shall come to their end. A chain
// has no more members than there was memory for when the first one went. So from then on it is no chain, but code that makes its like.
//
// NEARLY is more than CPython's margin, below which objects are put aside; TIMES is for what leaps over it. A generator that
// holds another one takes more than LEAST bytes.
enum { NEARLY = RECURSION_LIMIT + 0x10000, DEEP = RECURSION_LIMIT + 0x40000, TIMES = 10000, LEAST = 100, PAGE = 0x10000 };
static struct {
  u32 depth; // how many run, each within what another one does
  u32 calls; // how many calls of Python had nested where the innermost one began
  u32 leaps; // how many have let others go DEEP down
  u32 chain; // how many more a chain may have NEARLY at the end of the stack
  int told;
} ends;

// CPython's stack pointer: this module has a stack of its own. stackguard.py puts the answer in.
EXPORT("stackguard#stack_pointer") __attribute__((noinline)) u32 stack_pointer(void) {
  static volatile u32 answer;
  return answer;
}

static int is_like(u32 calls, int may_chain) {
  u32 here = stack_pointer();
  if (calls > ends.calls) return here < NEARLY || (here < DEEP && ends.leaps++ > TIMES);
  return here < NEARLY && !(may_chain && ends.chain && ends.chain--);
}

// Whether the code for an object that goes may run; `before` is for leave().
static int enter(u32 *before, int may_chain) {
  u32 calls = calls_left[1] - calls_left[0];
  if (!ends.depth) ends.chain = __builtin_wasm_memory_size(0) * (PAGE / LEAST);
  else if (is_like(calls, may_chain)) return 0;
  *before = ends.calls;
  ends.calls = calls;
  ends.depth++;
  return 1;
}

static void leave(u32 before) {
  ends.calls = before;
  if (!--ends.depth) ends.leaps = ends.told = 0;
}

// Raises the error, once for all that go within the outermost one.
static int raise_once(void) {
  if (ends.told) return 0;
  ends.told = 1;
  PyErr_SetString(recursion_error, "maximum recursion depth exceeded in a finalizer: it goes undone, and so do others like it");
  return 1;
}

EXPORT("stackguard#finalize") int finalize(PyObject *object) {
  u32 before;
  if (enter(&before, 1)) {
    int result = PyObject_CallFinalizerFromDealloc(object);
    leave(before);
    return result;
  }
  // As in CPython's own: the collector may run meanwhile, and must not find an object without a reference.
  u32 *references = (u32 *)object;
  *references = 1;
  PyObject *error = PyErr_GetRaisedException();
  if (raise_once()) PyErr_WriteUnraisable(0);
  PyErr_SetRaisedException(error);
  return --*references ? -1 : 0;
}

EXPORT("stackguard#finalize_task") void finalize_task(PyObject *object) {
  u32 before;
  if (enter(&before, 0)) {
    PyObject_CallFinalizer(object);
    leave(before);
  } else if (raise_once()) PyErr_WriteUnraisable(0);
}

// What a refused call of Python's returns: its caller writes what is raised, and goes on.
static PyObject *nothing(void) { return raise_once() ? 0 : Py_GetConstant(0); }

EXPORT("stackguard#weakref_callback") PyObject *weakref_callback(PyObject *function, PyObject *reference) {
  u32 before;
  if (!enter(&before, 0)) return nothing();
  PyObject *result = PyObject_CallOneArg(function, reference);
  leave(before);
  return result;
}

EXPORT("stackguard#release_buffer")
PyObject *release_buffer(PyObject *name, PyObject *const *arguments, u32 count) {
  u32 before;
  if (!enter(&before, 0)) return nothing();
  PyObject *result = PyObject_VectorcallMethod(name, arguments, count, 0);
  leave(before);
  return result;
}
