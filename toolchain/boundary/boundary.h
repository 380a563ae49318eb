// What the generated boundary (generate.py) is written in: CPython's stable C API, the component's libc, and a few helpers.
//
// The functions come out of the flattened component by name: an import of "libpython"."libpython.X" is libpython's own X.
#ifndef BOUNDARY_H
#define BOUNDARY_H

#include "cpython.h"

typedef unsigned char u8;
typedef unsigned u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;
typedef struct object PyObject;
typedef i32 Py_ssize_t;
typedef struct {
  const char *name;
  void *function;
  int flags;
  const char *doc;
} Method;

#define PYTHON(name) __attribute__((import_module("libpython"), import_name("libpython." #name))) name
#define LIBC(name) __attribute__((import_module("libc"), import_name("libc." #name))) name
#define HOST(name) __attribute__((import_module("env"), import_name(#name))) name
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) wasi_##name
#define EXPORT(name) __attribute__((export_name(name)))

// What each connection reads or writes: it lies side by side, in few cache lines.
#define HOT __attribute__((section(".data.hot")))

// A hot function is one piece, without what hardly ever happens.
#define IN_LINE inline __attribute__((always_inline))
#define OUT_OF_LINE __attribute__((noinline, cold))

// Begins a cache line.
#define LINE __attribute__((aligned(64)))

void *LIBC(malloc)(u32);
void LIBC(free)(void *);
void *LIBC(memcpy)(void *, const void *, u32);
int LIBC(memcmp)(const void *, const void *, u32);

void *PYTHON(PyThreadState_Get)(void);
PyObject *PYTHON(PyImport_AddModule)(const char *);
PyObject *PYTHON(PyCMethod_New)(void *, PyObject *, PyObject *, PyObject *);
int PYTHON(PyObject_SetAttrString)(PyObject *, const char *, PyObject *);
PyObject *PYTHON(PyObject_Vectorcall)(PyObject *, PyObject *const *, u32, PyObject *);
void PYTHON(_Py_Dealloc)(PyObject *);
PyObject *PYTHON(Py_GetConstantBorrowed)(u32);
PyObject *PYTHON(PyBytes_FromStringAndSize)(const char *, Py_ssize_t);
int PYTHON(PyBytes_AsStringAndSize)(PyObject *, char **, Py_ssize_t *);
PyObject *PYTHON(PyUnicode_FromString)(const char *);
const char *PYTHON(PyUnicode_AsUTF8AndSize)(PyObject *, Py_ssize_t *);
PyObject *PYTHON(PyLong_FromUnsignedLong)(u32);
PyObject *PYTHON(PyLong_FromUnsignedLongLong)(u64);
u32 PYTHON(PyLong_AsUnsignedLong)(PyObject *);
u64 PYTHON(PyLong_AsUnsignedLongLong)(PyObject *);
i32 PYTHON(PyLong_AsLong)(PyObject *);
i64 PYTHON(PyLong_AsLongLong)(PyObject *);
int PYTHON(PyDict_Contains)(PyObject *, PyObject *);
PyObject *PYTHON(PyBool_FromLong)(i32);
PyObject *PYTHON(PyObject_GetAttr)(PyObject *, PyObject *);
PyObject *PYTHON(PyObject_GetAttrString)(PyObject *, const char *);
PyObject *PYTHON(PyObject_VectorcallMethod)(PyObject *, PyObject *const *, u32, PyObject *);
PyObject *PYTHON(PyUnicode_InternFromString)(const char *);
PyObject *PYTHON(PyType_GenericAlloc)(PyObject *, Py_ssize_t);
PyObject *PYTHON(PyType_FromSpec)(void *);
int PYTHON(PyType_IsSubtype)(PyObject *, PyObject *);
PyObject *PYTHON(PyType_GetDict)(PyObject *);
int PYTHON(PyType_AddWatcher)(int (*)(PyObject *));
int PYTHON(PyType_Watch)(int, PyObject *);
int PYTHON(PyUnstable_Type_AssignVersionTag)(PyObject *);
int PYTHON(PyUnicode_Compare)(PyObject *, PyObject *);
PyObject *PYTHON(PyObject_GetIter)(PyObject *);
PyObject *PYTHON(PyWeakref_NewRef)(PyObject *, PyObject *);
PyObject *PYTHON(PyDict_New)(void);
PyObject *PYTHON(PySequence_List)(PyObject *);
void PYTHON(PyObject_Free)(void *);
void PYTHON(PyObject_GC_Del)(void *);
unsigned long PYTHON(PyType_GetFlags)(PyObject *);
int PYTHON(PyUnicode_CompareWithASCIIString)(PyObject *, const char *);
PyObject *PYTHON(PySequence_Tuple)(PyObject *);
PyObject *PYTHON(PyDict_GetItemWithError)(PyObject *, PyObject *);
PyObject *PYTHON(PyList_New)(Py_ssize_t);
PyObject *PYTHON(PyList_GetItem)(PyObject *, Py_ssize_t);
int PYTHON(PyList_SetItem)(PyObject *, Py_ssize_t, PyObject *);
Py_ssize_t PYTHON(PyList_Size)(PyObject *);
PyObject *PYTHON(PyTuple_New)(Py_ssize_t);
Py_ssize_t PYTHON(PyTuple_Size)(PyObject *);
PyObject *PYTHON(PyTuple_GetItem)(PyObject *, Py_ssize_t);
int PYTHON(PyTuple_SetItem)(PyObject *, Py_ssize_t, PyObject *);
int PYTHON(PyList_Append)(PyObject *, PyObject *);
PyObject *PYTHON(PyDict_Items)(PyObject *);
PyObject *PYTHON(PySet_New)(PyObject *);
int PYTHON(PySet_Add)(PyObject *, PyObject *);
int PYTHON(PySet_Discard)(PyObject *, PyObject *);
Py_ssize_t PYTHON(PySet_Size)(PyObject *);
Py_ssize_t PYTHON(PyDict_Size)(PyObject *);
PyObject *PYTHON(PyType_FromSpecWithBases)(void *, PyObject *);
int PYTHON(PyType_Freeze)(PyObject *);
PyObject *PYTHON(PyDescr_NewMethod)(PyObject *, Method *);
int PYTHON(PyIter_Send)(PyObject *, PyObject *, PyObject **);
int PYTHON(PyObject_GetOptionalAttr)(PyObject *, PyObject *, PyObject **);
int PYTHON(PyObject_SetAttr)(PyObject *, PyObject *, PyObject *);
int PYTHON(PyObject_IsTrue)(PyObject *);
int PYTHON(PyErr_BadArgument)(void);
void PYTHON(PyErr_SetString)(PyObject *, const char *);
void PYTHON(PyErr_SetObject)(PyObject *, PyObject *);
PyObject *PYTHON(PyErr_Format)(PyObject *, const char *, ...);
void PYTHON(PyErr_SetRaisedException)(PyObject *);
int PYTHON(Py_EnterRecursiveCall)(const char *);
PyObject *PYTHON(PyErr_Occurred)(void);
PyObject *PYTHON(PyErr_GetRaisedException)(void);
void PYTHON(PyErr_Clear)(void);
int PYTHON(PyErr_WarnEx)(PyObject *, const char *, Py_ssize_t);

enum { EMPTY_BYTES = 8 }; // Py_GetConstantBorrowed
#define METH_FASTCALL 0x80
#define METH_KEYWORDS 0x02
#define VECTORCALL_ARGUMENTS_OFFSET 0x80000000u

// What a type is made of (PyType_Spec). The numbers of slots are those of CPython's typeslots.h, which never change.
enum { T_OBJECT = 6, T_OBJECT_EX = 16, READ_ONLY = 1, TPFLAGS_IMMUTABLETYPE = 1 << 8, TPFLAGS_BASETYPE = 1 << 10, TPFLAGS_HAVE_GC = 1 << 14 };
enum { MP_ASS_SUBSCRIPT = 3, MP_LENGTH, MP_SUBSCRIPT, SQ_CONTAINS = 41, TP_DEALLOC = 52, TP_ITER = 62, TP_ITERNEXT, TP_METHODS };
enum { TP_NEW = 65, TP_MEMBERS = 72, TP_GETSET = 73, AM_AWAIT = 77 };
typedef struct {
  const char *name;
  int type;
  Py_ssize_t offset;
  int flags;
  const char *doc;
} Member;

typedef struct {
  int slot;
  void *function;
} Slot;

typedef struct {
  const char *name;
  int size, item_size;
  u32 flags;
  Slot *slots;
} Spec;

typedef struct {
  const char *data;
  Py_ssize_t size;
} Bytes;

// Makes the module _proxy_wasm; CPython has been started.
int start_boundary(void);

// Gets ready for errors in deep recursion (recursion.c); 0 if the thread state is not as it was.
int start_recursion(void);

enum { NOT_FOUND = 1, BAD_ARGUMENT }; // statuses

static PyObject *type_error, *value_error, *key_error, *none HOT, *true_object, *false_object, *zero;
static PyObject *str_type, *bytes_type, *list_type, *tuple_type, *dict_type, *function_type;
static PyObject *status_handler, *error_handler, *action_type HOT, *known_roots HOT;

// As CPython's own macros do it.
static inline PyObject *Py_TYPE(PyObject *object) { return ((PyObject **)object)[1]; }

static inline void Py_IncRef(PyObject *object) {
  u32 *count = (u32 *)object;
  if (*count < IMMORTAL) ++*count;
}

static inline void Py_DecRef(PyObject *object) {
  u32 *count = (u32 *)object;
  if (object && *count < IMMORTAL && !--*count) _Py_Dealloc(object);
}

static int same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static PyObject *new_none(void) {
  Py_IncRef(none);
  return none;
}

static PyObject *usage(const char *text) {
  PyErr_SetString(type_error, text);
  return 0;
}

// One argument, str (as UTF-8) or bytes; the memory stays the object's.
static int take_bytes(PyObject *object, Bytes *bytes) {
  PyObject *type = Py_TYPE(object);
  if (type == str_type || (type != bytes_type && PyType_IsSubtype(type, str_type)))
    return (bytes->data = PyUnicode_AsUTF8AndSize(object, &bytes->size)) != 0;
  return PyBytes_AsStringAndSize(object, (char **)&bytes->data, &bytes->size) == 0;
}

// A value that a host call does not take: the exception names the call. One about the text itself, such as a lone surrogate, stays.
static PyObject *wrong_argument(const char *call, const char *parameter, const char *wanted, PyObject *value) {
  PyObject *error = PyErr_GetRaisedException(), *type = Py_TYPE(error);
  if (type == type_error) PyErr_Format(type, "%s: %s must be %s, not %T", call, parameter, wanted, value);
  else if (same(wanted, "int")) PyErr_Format(type, "%s: %s is out of range", call, parameter);
  else return PyErr_SetRaisedException(error), (PyObject *)0;
  Py_DecRef(error);
  return 0;
}

// Where the host is to write its answer. Who asks for one says so before the host call, and after a short one that it is over.
static enum { NO_ANSWER, SHORT_ANSWER, BYTES_ANSWER } wanted_answer HOT;

// The memory of bytes that Python gets. Who asks for them begins and ends that.
static PyObject *answer HOT;

// A short answer needs no memory of its own: it is read before the next one comes. An IPv6 address with its port has room.
static char short_answer[48] HOT LINE;

static char *data_of(PyObject *bytes) {
  char *data = 0;
  Py_ssize_t size;
  PyBytes_AsStringAndSize(bytes, &data, &size);
  return data;
}

static void *memory_for_answer(u32 size) {
  u32 wanted = wanted_answer;
  wanted_answer = NO_ANSWER;
  if (wanted == SHORT_ANSWER && size <= sizeof short_answer) return short_answer;
  if (wanted == BYTES_ANSWER) {
    if ((answer = PyBytes_FromStringAndSize(0, size))) return data_of(answer);
    PyErr_Clear();
  }
  return malloc(size ? size : 1);
}

// The host gave no answer; whatever it took memory for.
static void drop_answer_bytes(void) {
  PyObject *made = answer;
  wanted_answer = NO_ANSWER;
  answer = 0;
  Py_DecRef(made);
}

static void begin_answer(void) {
  if (answer) drop_answer_bytes();
  wanted_answer = BYTES_ANSWER;
}

// The host's answer, in memory that it had from proxy_on_memory_allocate.
static PyObject *give_bytes(char *data, u32 size) {
  Bytes made = {0, 0};
  if (answer) PyBytes_AsStringAndSize(answer, (char **)&made.data, &made.size);
  if (made.data && made.data == data) {
    PyObject *whole = answer, *part;
    answer = 0;
    if (made.size == (Py_ssize_t)size) return whole;
    part = PyBytes_FromStringAndSize(data, size < (u32)made.size ? size : (u32)made.size);
    Py_DecRef(whole);
    return part;
  }
  drop_answer_bytes();
  PyObject *bytes = PyBytes_FromStringAndSize(data ? data : "", data ? size : 0);
  if (data) free(data);
  return bytes;
}

// A slot of an object, which is made: the object's own reference goes to what is put there.
static PyObject **slot_of(PyObject *object, u32 word) { return (PyObject **)object + word; }

// Where an example has the slot with this value, in words; 0 if nowhere. No other slot has the value.
static u32 find_slot(PyObject *example, PyObject *value, u32 slots) {
  // Behind the count of references and the type.
  for (u32 word = 2; word < 2 + slots; word++)
    if (*slot_of(example, word) == value) return word;
  return 0;
}

static PyObject *replace(PyObject **slot, PyObject *function) {
  Py_IncRef(function);
  if (*slot) Py_DecRef(*slot);
  *slot = function;
  return new_none();
}

// Ends an object of a type of the boundary's. A class of Python's that is made of that may have attributes: then it is collected.
static void release(PyObject *self) {
  PyObject *type = Py_TYPE(self);
  if (PyType_GetFlags(type) & TPFLAGS_HAVE_GC) PyObject_GC_Del(self);
  else PyObject_Free(self);
  Py_DecRef(type);
}

static void assign(PyObject **slot, PyObject *object) {
  PyObject *before = *slot;
  if (object) Py_IncRef(object);
  *slot = object;
  if (before) Py_DecRef(before);
}

// A status that is neither OK nor an absence: the SDK's handler raises what fits. `about` says what the call was about, if that is known.
static PyObject *failed_about(const char *name, u32 status, PyObject *about) {
  if (!status_handler) return usage("a host call failed, and no status handler is set");
  PyObject *arguments[4] = {0, PyUnicode_FromString(name), PyLong_FromUnsignedLong(status), about}, *result = 0;
  if (arguments[1] && arguments[2])
    result = PyObject_Vectorcall(status_handler, arguments + 1, (about ? 3 : 2) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (arguments[1]) Py_DecRef(arguments[1]);
  if (arguments[2]) Py_DecRef(arguments[2]);
  return result;
}

static PyObject *failed(const char *name, u32 status) { return failed_about(name, status, 0); }

// A callback's result as a number; `fallback`, with the exception set, if it is none.
typedef u32 Reader(const char *callback, PyObject *object, u32 fallback);

static u32 as_number(const char *callback, PyObject *object, u32 fallback) {
  if (object == none) return 0; // immortal: there is no reference to give back
  i64 value = PyLong_AsLongLong(object);
  Py_DecRef(object);
  return !~value && PyErr_Occurred() ? fallback : (u32)value;
}

// The same for a result that is an action, and not None: True would be PAUSE, and meant as its opposite.
static u32 as_action(const char *callback, PyObject *object, u32 fallback) {
  if (Py_TYPE(object) == action_type) return as_number(callback, object, fallback);
  PyErr_Format(type_error, "%s() returned %R: return a proxy_wasm.Action, or nothing", callback + sizeof "proxy", object);
  Py_DecRef(object);
  return fallback;
}

// An exception in a callback: the SDK's handler logs it and gives the result; nothing that happens here may trap.
static u32 raised(const char *callback, u32 context_id, u32 parent_context_id, u32 fallback) {
  PyObject *error = PyErr_GetRaisedException(), *result = 0;
  PyObject *arguments[5] = {0, PyUnicode_FromString(callback), PyLong_FromUnsignedLong(context_id), error};
  arguments[4] = PyLong_FromUnsignedLong(parent_context_id);
  if (error_handler && error && arguments[1] && arguments[2] && arguments[4])
    result = PyObject_Vectorcall(error_handler, arguments + 1, 4 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  for (int i = 1; i < 5; i++)
    if (arguments[i]) Py_DecRef(arguments[i]);
  u32 value = result ? as_number(callback, result, fallback) : fallback;
  PyErr_Clear();
  return value;
}

// CPython's limits for recursion in C: the top of the shadow stack, which begins at address 0, where errors begin, and where it gives
// up. They lie in the thread state, one after the other. It never has to give up: see stackguard.py.
static int limit_recursion(void) {
  enum { MARGIN = STACK_MARGIN };
  u32 *words = PyThreadState_Get();
  for (u32 i = 0; i < THREAD_STATE; i++)
    if (words[i] > 2 * MARGIN && words[i + 1] == 2 * MARGIN && words[i + 2] == MARGIN) {
      words[i + 1] = RECURSION_LIMIT;
      words[i + 2] = 1;
      return 1;
    }
  return 0;
}
#endif
