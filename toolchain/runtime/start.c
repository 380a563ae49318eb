// Starts CPython, and calls the program that it starts with (boot/boot.py). For the builder only: a built filter has none of it.
#include "boundary.h"

typedef struct config PyInitConfig;
typedef struct {
  const char *name;
  char *code;
  i32 size;
  i32 is_package;
} Frozen;

u32 HOST(proxy_call_foreign_function)(const char *, u32, const char *, u32, char **, u32 *);
__attribute__((import_module("libdl"), import_name("libdl.__wasm_set_libraries"))) void set_libraries(const u32 *);
void *LIBC(memset)(void *, int, u32);
PyInitConfig *PYTHON(PyInitConfig_Create)(void);
int PYTHON(PyInitConfig_SetInt)(PyInitConfig *, const char *, i64);
int PYTHON(PyInitConfig_SetStrList)(PyInitConfig *, const char *, u32, char *const *);
int PYTHON(PyInitConfig_GetError)(PyInitConfig *, const char **);
void PYTHON(PyInitConfig_Free)(PyInitConfig *);
int PYTHON(Py_InitializeFromInitConfig)(PyInitConfig *);
PyObject *PYTHON(PyImport_ImportModule)(const char *);
PyObject *PYTHON(PyObject_GetAttrString)(PyObject *, const char *);
void PYTHON(PyErr_Print)(void);

static u32 length(const char *text) {
  u32 size = 0;
  while (text[size]) size++;
  return size;
}

// What is needed before there is a finder that could ask for it (STARTED_WITH in cpython/start.py).
static Frozen frozen[] = {FROZEN_MODULES, {0}};
enum { FROZEN = sizeof frozen / sizeof *frozen - 1 };

static void replace_frozen(u32 variable, Frozen *replacement) {
  Frozen **table = (Frozen **)variable;
  for (Frozen *module = *table; module->name; module++) memset(module->code, 0, (u32)module->size);
  *table = replacement;
}

static PyObject *boot;
extern char __heap_base;

// Where the memory that this module is linked to ends; the heap begins with the next page.
EXPORT("build_heap") void *build_heap(void) { return &__heap_base; }
EXPORT("build_free") void build_free(void *address) { free(address); }

// Returns an error's text, or null. One thread, for ever: the GIL that the initialisation takes is kept.
EXPORT("build_start") const char *build_start(void) {
  static const u32 no_libraries[2];
  set_libraries(no_libraries);
  for (Frozen *module = frozen; module->name; module++) {
    u32 size = 0;
    proxy_call_foreign_function("build.frozen", 12, module->name, length(module->name), &module->code, &size);
    module->size = (i32)size;
  }
  replace_frozen(PYIMPORT_FROZENBOOTSTRAP, frozen);
  replace_frozen(PYIMPORT_FROZENSTDLIB, frozen + FROZEN);
  PyInitConfig *config = PyInitConfig_Create();
  char *const nowhere[1] = {0};
  const char *error = "PyInitConfig";
  int failed = PyInitConfig_SetInt(config, "utf8_mode", 1);
  failed |= PyInitConfig_SetStrList(config, "module_search_paths", 0, nowhere);
  failed |= PyInitConfig_SetInt(config, "pathconfig_warnings", 0);
  // Columns serve to underline the source in a traceback, and there is no source in a proxy.
  failed |= PyInitConfig_SetInt(config, "code_debug_ranges", 0);
  // Lines are collected by the WASI adapter.
  failed |= PyInitConfig_SetInt(config, "buffered_stdio", 0);
  if (failed || Py_InitializeFromInitConfig(config)) {
    PyInitConfig_GetError(config, &error);
    return error;
  }
  PyInitConfig_Free(config);
  boot = PyImport_ImportModule("boot");
  for (Frozen *module = frozen; module->name; module++) free(module->code);
  *(Frozen **)PYIMPORT_FROZENBOOTSTRAP = frozen + FROZEN;
  if (!boot) {
    PyErr_Print();
    return "boot.py raised an exception";
  }
  if (start_boundary()) return 0;
  return "the limits of its recursion, or objects' attributes, are not where they were; see limit_recursion() in boundary.h, find_calls() in "
         "recursion.c, is_laid_out() in attributes.h";
}

// Calls a function of boot.py, bytes to bytes; null for an exception, which is printed.
EXPORT("build_call") const Bytes *build_call(const char *name, const char *argument, u32 size) {
  static Bytes answer;
  static PyObject *kept;
  if (kept) Py_DecRef(kept);
  kept = 0;
  PyObject *function = PyObject_GetAttrString(boot, name);
  PyObject *arguments[2] = {0, PyBytes_FromStringAndSize(argument, (Py_ssize_t)size)};
  if (function && arguments[1]) kept = PyObject_Vectorcall(function, arguments + 1, 1 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (function) Py_DecRef(function);
  if (arguments[1]) Py_DecRef(arguments[1]);
  if (kept && PyBytes_AsStringAndSize(kept, (char **)&answer.data, &answer.size) == 0) return &answer;
  PyErr_Print();
  return 0;
}
