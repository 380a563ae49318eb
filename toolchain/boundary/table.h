// Objects by a number of the proxy's, such as that of a context or a call: for Python a mapping, and for C one look, without an object for
// the number. Numbers follow one another, so that each mostly has its place to itself.
#ifndef TABLE_H
#define TABLE_H
#include "boundary.h"

typedef struct {
  u32 number;
  PyObject *object; // null in a free place
} Entry;

typedef struct {
  u32 head[2];
  u32 count, mask; // a power of two of places, less one
  Entry *entries;
} Table;

enum { FIRST_PLACES = 16 };
static PyObject *table_type;

static Table *new_table(void) { return (Table *)PyType_GenericAlloc(table_type, 0); }

// Where a number is, or the free place where it would be.
static Entry *place_of(const Table *table, u32 number) {
  u32 at = number & table->mask;
  while (table->entries[at].object && table->entries[at].number != number) at = (at + 1) & table->mask;
  return &table->entries[at];
}

// A borrowed reference; 0 without an exception if the number is not there.
static PyObject *find_in(const Table *table, u32 number) { return table && table->count ? place_of(table, number)->object : 0; }

static int enlarge(Table *table) {
  u32 before = table->entries ? table->mask + 1 : 0, places = before ? 2 * before : FIRST_PLACES;
  Entry *entries = table->entries, *more = malloc(places * sizeof *more);
  if (!more) return PyErr_SetString(value_error, "there is no memory for one more context or call"), 0;
  for (u32 i = 0; i < places; i++) more[i].object = 0;
  table->entries = more;
  table->mask = places - 1;
  for (u32 i = 0; i < before; i++)
    if (entries[i].object) *place_of(table, entries[i].number) = entries[i];
  if (entries) free(entries);
  return 1;
}

// Puts an object there, of which the table gets a reference of its own; 0 with an exception.
static int put_into(Table *table, u32 number, PyObject *object) {
  if (2 * table->count >= table->mask && !enlarge(table)) return 0;
  Entry *place = place_of(table, number);
  PyObject *before = place->object;
  if (!before) table->count++;
  Py_IncRef(object);
  *place = (Entry){number, object};
  if (before) Py_DecRef(before);
  return 1;
}

// Takes a number out, and returns the table's reference; 0 if it is not there. What lies behind it moves up.
static PyObject *take_from(Table *table, u32 number) {
  if (!table || !table->count) return 0;
  u32 mask = table->mask, hole = place_of(table, number) - table->entries, at = hole;
  PyObject *object = table->entries[hole].object;
  if (!object) return 0;
  table->count--;
  while (table->entries[at = (at + 1) & mask].object) {
    u32 home = table->entries[at].number & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    table->entries[hole] = table->entries[at];
    hole = at;
  }
  table->entries[hole].object = 0;
  return object;
}

static void drop_from(Table *table, u32 number) {
  PyObject *object = take_from(table, number);
  if (object) Py_DecRef(object);
}

// ---- for Python

static int as_table(PyObject *object, Table **table) {
  if (Py_TYPE(object) != table_type) return usage("a table of the boundary's is wanted") != 0;
  Py_IncRef(object);
  *table = (Table *)object;
  return 1;
}

static int take_key(PyObject *object, u32 *number) {
  *number = PyLong_AsUnsignedLong(object);
  return ~*number || !PyErr_Occurred();
}

static PyObject *table_new(PyObject *type, PyObject *arguments, PyObject *keywords) { return PyType_GenericAlloc(type, 0); }

static void table_dealloc(PyObject *self) {
  Table *table = (Table *)self;
  for (u32 i = 0; table->entries && i <= table->mask; i++) Py_DecRef(table->entries[i].object);
  if (table->entries) free(table->entries);
  PyObject *type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DecRef(type);
}

static Py_ssize_t table_length(PyObject *self) { return ((Table *)self)->count; }

static PyObject *table_subscript(PyObject *self, PyObject *key) {
  u32 number;
  if (!take_key(key, &number)) return 0;
  PyObject *found = find_in((Table *)self, number);
  if (found) Py_IncRef(found);
  else PyErr_SetObject(key_error, key);
  return found;
}

static int table_assign(PyObject *self, PyObject *key, PyObject *object) {
  u32 number;
  if (!take_key(key, &number)) return -1;
  if (object) return put_into((Table *)self, number, object) ? 0 : -1;
  if (!(object = take_from((Table *)self, number))) return PyErr_SetObject(key_error, key), -1;
  Py_DecRef(object);
  return 0;
}

static int table_contains(PyObject *self, PyObject *key) {
  u32 number;
  return take_key(key, &number) ? find_in((Table *)self, number) != 0 : -1;
}

static PyObject *table_iterate(PyObject *self) {
  Table *table = (Table *)self;
  PyObject *numbers = PyList_New(0), *iterator;
  for (u32 i = 0; numbers && table->entries && i <= table->mask; i++) {
    if (!table->entries[i].object) continue;
    PyObject *number = PyLong_FromUnsignedLong(table->entries[i].number);
    if (!number || PyList_Append(numbers, number)) Py_DecRef(numbers), numbers = 0;
    Py_DecRef(number);
  }
  if (!numbers) return 0;
  iterator = PyObject_GetIter(numbers);
  Py_DecRef(numbers);
  return iterator;
}

static PyObject *table_get(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 number;
  if (count < 1 || count > 2) return usage("get(number, default=None)");
  if (!take_key(arguments[0], &number)) return 0;
  PyObject *found = find_in((Table *)self, number);
  if (!found) found = count == 2 ? arguments[1] : none;
  Py_IncRef(found);
  return found;
}

static PyObject *table_pop(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 number;
  if (count != 2) return usage("pop(number, default)");
  if (!take_key(arguments[0], &number)) return 0;
  PyObject *found = take_from((Table *)self, number);
  if (!found) Py_IncRef(found = arguments[1]);
  return found;
}

static Method table_methods[] = {{"get", table_get, METH_FASTCALL, 0}, {"pop", table_pop, METH_FASTCALL, 0}, {0, 0, 0, 0}};

static Slot table_slots[] = {
  {MP_ASS_SUBSCRIPT, table_assign}, {MP_SUBSCRIPT, table_subscript}, {MP_LENGTH, table_length}, {SQ_CONTAINS, table_contains},
  {TP_ITER, table_iterate}, {TP_DEALLOC, table_dealloc}, {TP_METHODS, table_methods}, {TP_NEW, table_new}, {0, 0},
};

static Spec table_spec = {"_proxy_wasm.Table", sizeof(Table), 0, TPFLAGS_IMMUTABLETYPE, table_slots};
#endif
