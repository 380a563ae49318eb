// Header maps as Python has them: names, pairs, and the list of all pairs.
#ifndef PAIRS_H
#define PAIRS_H
#include "boundary.h"

static u32 read_u32(const char *data) {
  u32 number;
  __builtin_memcpy(&number, data, sizeof number);
  return number;
}

static void write_u32(char *data, u32 number) { __builtin_memcpy(data, &number, sizeof number); }

// ---- names

// Eight bytes at a time: libc compares one after the other.
static int same_bytes(const char *one, const char *other, u32 size) {
  u32 i = 0;
  u64 a, b;
  for (; i + 8 <= size; i += 8) {
    __builtin_memcpy(&a, one + i, sizeof a);
    __builtin_memcpy(&b, other + i, sizeof b);
    if (a != b) return 0;
  }
  for (; i < size; i++)
    if (one[i] != other[i]) return 0;
  return 1;
}

// Names come again with each request: the latest ones are kept, so that one is made only when it is new. A place holds one name.
enum { NAMES = 256, LONGEST_NAME = 48 };
static struct {
  PyObject *bytes;
  const char *data;
  u32 size;
} names[NAMES];

static PyObject *name_as_bytes(const char *data, u32 size) {
  if (!size || size > LONGEST_NAME) return PyBytes_FromStringAndSize(data, size);
  u32 place = (size * 37 + (u8)data[0] + (u8)data[size / 2] * 5 + (u8)data[size - 1] * 11) % NAMES;
  if (names[place].size != size || !same_bytes(names[place].data, data, size)) {
    PyObject *made = PyBytes_FromStringAndSize(data, size), *before = names[place].bytes;
    if (!made) return 0;
    names[place].bytes = made;
    names[place].data = data_of(made);
    names[place].size = size;
    if (before) Py_DecRef(before);
  }
  Py_IncRef(names[place].bytes);
  return names[place].bytes;
}

// ---- pairs

static PyObject *make_pair(const char *text, u32 name, u32 value) {
  PyObject *pair = PyTuple_New(2), *one = name_as_bytes(text, name), *other = PyBytes_FromStringAndSize(text + name + 1, value);
  if (pair && one && other && !PyTuple_SetItem(pair, 0, one) && !PyTuple_SetItem(pair, 1, other)) return pair;
  Py_DecRef(pair);
  Py_DecRef(one);
  Py_DecRef(other);
  return 0;
}

// Most pairs come again too, and Python cannot change one. A place holds one that came twice, so that what each request has of its own is
// never kept.
enum { PAIRS = 128, LONGEST_PAIR = 192 };
static struct {
  u32 met; // by what came last and is not held: a hash
  u32 hash, name, value;
  const char *name_data, *value_data;
  PyObject *pair;
} pairs_met[PAIRS];

static u32 hash_of(const char *data, u32 size) {
  const u64 factor = 0x9E3779B97F4A7C15;
  u64 hash = size, word;
  u32 i = 0;
  for (; i + 8 <= size; i += 8) {
    __builtin_memcpy(&word, data + i, sizeof word);
    hash = (hash ^ word) * factor;
    hash ^= hash >> 32;
  }
  for (word = 0; i < size; i++) word = word << 8 | (u8)data[i];
  hash = (hash ^ word) * factor;
  return (u32)(hash >> 32);
}

// The pair whose name, a zero byte and whose value are at `text`.
static PyObject *pair_at(const char *text, u32 name, u32 value) {
  if (name + value > LONGEST_PAIR) return make_pair(text, name, value);
  u32 hash = hash_of(text, name + 1 + value), place = hash % PAIRS;
  PyObject *pair = pairs_met[place].pair;
  if (pair && pairs_met[place].hash == hash && pairs_met[place].name == name && pairs_met[place].value == value &&
      same_bytes(pairs_met[place].name_data, text, name) && same_bytes(pairs_met[place].value_data, text + name + 1, value)) {
    Py_IncRef(pair);
    return pair;
  }
  pair = make_pair(text, name, value);
  if (pair && pairs_met[place].met == hash) {
    assign(&pairs_met[place].pair, pair);
    pairs_met[place].hash = hash;
    pairs_met[place].name = name;
    pairs_met[place].value = value;
    pairs_met[place].name_data = data_of(PyTuple_GetItem(pair, 0));
    pairs_met[place].value_data = data_of(PyTuple_GetItem(pair, 1));
  }
  pairs_met[place].met = hash;
  return pair;
}

// ---- reading and writing a map

static void bad_map(void) { PyErr_SetString(value_error, "header map: cut off, or a text does not end in a zero byte"); }

// Whether these bytes are a map.
static int check_map(const char *map, u32 size) {
  u32 pairs = size < 4 ? 0 : read_u32(map), at = 4 + 8 * pairs;
  if (size && (size < 4 || pairs > (size - 4) / 8)) return bad_map(), 0;
  for (u32 i = 0; i < 2 * pairs; i++) {
    u32 text = read_u32(map + 4 + 4 * i);
    if (text >= size - at || map[at + text]) return bad_map(), 0;
    at += text + 1;
  }
  return 1;
}

// A list of pairs of bytes.
static PyObject *read_pairs(const char *map, u32 size) {
  if (!check_map(map, size)) return 0;
  u32 pairs = size ? read_u32(map) : 0;
  const char *text = map + 4 + 8 * pairs, *sizes = map + 4;
  PyObject *list = PyList_New(pairs);
  for (u32 i = 0; list && i < pairs; i++, sizes += 8) {
    u32 name = read_u32(sizes), value = read_u32(sizes + 4);
    PyObject *pair = pair_at(text, name, value);
    text += name + value + 2;
    if (!pair || PyList_SetItem(list, i, pair)) {
      Py_DecRef(list);
      return 0;
    }
  }
  return list;
}
#endif
