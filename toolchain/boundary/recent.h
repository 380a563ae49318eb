// The streams of late, so that most need not be looked up in `known_streams`, nor their numbers made. Each number has one place. A stream
// leaves it at its end, before anything else is done.
#ifndef RECENT_H
#define RECENT_H
#include "boundary.h"

#define RECENT 64
static struct {
  u32 context_id;
  PyObject *stream;
} recent[RECENT];

static void note_recent(u32 context_id, PyObject *stream) {
  u32 place = context_id % RECENT;
  recent[place].context_id = context_id;
  assign(&recent[place].stream, stream);
}

// A borrowed reference; 0 without an exception if there is no such stream.
static PyObject *find_stream(u32 number) {
  u32 place = number % RECENT;
  if (recent[place].stream && recent[place].context_id == number) return recent[place].stream;
  PyObject *context_id = PyLong_FromUnsignedLong(number), *stream = context_id ? PyDict_GetItemWithError(known_streams, context_id) : 0;
  if (context_id) Py_DecRef(context_id);
  if (stream) note_recent(number, stream);
  else PyErr_Clear();
  return stream;
}

#endif
