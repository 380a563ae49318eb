// A router's table: what `SourceTable.__call__` does in Python, but for the function that is asked about the rest.
#ifndef SOURCE_TABLE_H
#define SOURCE_TABLE_H
#include "latest_router.h"

static PyObject *table_of_sources HOT; // `SourceTable`
static u32 items_word;                 // where tuples have their items

// A family's starts and values, one behind the other as the slots' names are.
typedef struct {
  PyObject *starts, *values;
} Family;

// A table as CPython lays it out: its slots, sorted by name, behind what every object has. `set_source_table` makes sure of it.
typedef struct {
  u32 head[2];
  Family ipv4, ipv6;
  PyObject *otherwise;
} SourceTable;

static u32 size_of(PyObject *object) { return (u32)*slot_of(object, 2); }

// Whether objects that have a size have it behind their head, and tuples their items somewhere behind that.
static int find_sizes(const Family *family) {
  PyObject *first = PyTuple_GetItem(family->values, 0);
  items_word = first ? find_slot(family->values, first, 4) : 0;
  return items_word && PyTuple_Size(family->values) == 2 && size_of(family->values) == 2 && size_of(family->starts) == IPV4;
}

// set_source_table(class, example, ipv4_starts, ipv4_values, ipv6_starts, ipv6_values, otherwise)
static PyObject *py_set_source_table(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (count != 7) return usage("set_source_table(class, example, ipv4_starts, ipv4_values, ipv6_starts, ipv6_values, otherwise)");
  const SourceTable *example = (const SourceTable *)arguments[1];
  const PyObject *found[] = {example->ipv4.starts, example->ipv4.values, example->ipv6.starts, example->ipv6.values, example->otherwise};
  for (u32 i = 0; i < 5; i++)
    if (found[i] != arguments[2 + i]) return usage("set_source_table(): the example does not have its slots where objects have them");
  if (!find_sizes(&example->ipv4) || !(bytes_word = find_bytes_word()))
    return usage("set_source_table(): bytes or tuples are not laid out as they were");
  return replace(&table_of_sources, arguments[0]);
}

static u32 as_number_of(const u8 *packed) {
  u32 number;
  __builtin_memcpy(&number, packed, IPV4);
  return __builtin_bswap32(number);
}

// How many of the starts are not above an address.
static u32 count_starts(const u8 *starts, u32 count, const u8 *packed, u32 size) {
  u32 low = 0, number = as_number_of(packed);
  while (count) {
    u32 half = count / 2;
    const u8 *start = starts + (low + half) * size;
    if (size == IPV4 ? as_number_of(start) > number : memcmp(start, packed, size) > 0) count = half;
    else low += half + 1, count -= half + 1;
  }
  return low;
}

// What is said of an address: a new reference to a cluster, or to None. 0 if it is no table, or another function is to be asked.
static IN_LINE PyObject *look_up(PyObject **function, const u8 *packed, u32 size) {
  if (Py_TYPE(*function) != table_of_sources) return 0;
  const SourceTable *table = (const SourceTable *)*function;
  const Family *family = size == IPV4 ? &table->ipv4 : &table->ipv6;
  PyObject *starts = family->starts, *values = family->values;
  // Whoever has changed a slot gets what Python makes of it.
  if (!starts || !values || !table->otherwise || Py_TYPE(starts) != bytes_type || Py_TYPE(values) != tuple_type) return 0;
  u32 piece = count_starts((const u8 *)slot_of(starts, bytes_word), size_of(starts) / size, packed, size);
  if (piece >= size_of(values)) return 0;
  PyObject *value = slot_of(values, items_word)[piece];
  if (Py_TYPE(value) == tuple_type) {
    if (size_of(value) != 2) return 0;
    value = slot_of(value, items_word)[packed[size - 1] & 1];
  }
  if (value == none && table->otherwise != none) {
    *function = table->otherwise;
    return 0;
  }
  Py_IncRef(value);
  return value;
}
#endif
