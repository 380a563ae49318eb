// From the proxy's callbacks to Python. Most callbacks have one function of the SDK's to call (`_dispatch`). A stream's method is called
// without one, most of the time: see `Quick` in streams.h.
#ifndef CONTEXTS_H
#define CONTEXTS_H
#include "awaiting.h"
#include "held_back.h"
#include "routing.h"

// ---- quick ways

// Tells a stream. The context's number is the stream's own, and the last one says whether the message ends.
static PyObject *tell(const Quick *quick, Class *known, PyObject *stream, const u32 *numbers, u32 count) {
  PyObject *arguments[MOST_NUMBERS + 1], *result = 0;
  u32 made = 1;
  arguments[1] = stream;
  for (; made + 1 < count; made++)
    if (!(arguments[made + 1] = PyLong_FromUnsignedLong(numbers[made]))) break;
  if (made + 1 == count) arguments[count] = numbers[made] ? true_object : false_object, made++;
  if (made == count) result = call_method(known, quick->callback, quick->method, arguments, count);
  while (made > 1) Py_DecRef(arguments[made--]);
  return result;
}

// What the SDK makes of a result.
static PyObject *take_result(const Quick *quick, PyObject *stream, u32 number, PyObject *result) {
  if (result && quick->awaits && Py_TYPE(result) == coroutine_type) result = drive(quick, number, result);
  if (!result || !quick->after) return result;
  PyObject *state_object = layouts[quick->kind].state ? *slot_of(stream, layouts[quick->kind].state) : zero;
  if (result == none && state_object == zero) return result;
  u32 state = state_of(stream, quick->kind);
  if (!(state & quick->odd) && (result == none || Py_TYPE(result) == action_type)) {
    if (result != none && PyObject_IsTrue(result) == 1 && !(state & quick->over)) change_state(stream, quick->kind, 0, quick->clear);
    return result;
  }
  PyObject *arguments[] = {0, stream, PyLong_FromUnsignedLong(number), result}, *taken = 0;
  if (arguments[2]) taken = PyObject_Vectorcall(quick->after, arguments + 1, 3 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  Py_DecRef(arguments[2]);
  Py_DecRef(result);
  return taken;
}

// Makes a stream by its own constructor: `unmade(context_id, root, error)` gives one that stands for it if that raises.
static PyObject *construct(const Class *known, PyObject *context_id, PyObject *root) {
  PyObject *arguments[] = {0, context_id, root, 0};
  PyObject *stream = PyObject_Vectorcall(known->look.type, arguments + 1, 2 | VECTORCALL_ARGUMENTS_OFFSET, 0);
  if (!stream && (arguments[3] = PyErr_GetRaisedException())) {
    stream = PyObject_Vectorcall(unmade[known->kind], arguments + 1, 3 | VECTORCALL_ARGUMENTS_OFFSET, 0);
    Py_DecRef(arguments[3]);
  }
  return stream;
}

// Makes a stream, a plain one without Python.
static PyObject *make_stream(Class *known, u32 number, PyObject *root) {
  PyObject *context_id = PyLong_FromUnsignedLong(number), *stream = 0;
  if (context_id && known->facts & PLAIN && (stream = new_stream(known))) {
    Py_IncRef(context_id);
    Py_IncRef(root);
    *slot_of(stream, layouts[known->kind].context_id) = context_id;
    *slot_of(stream, layouts[known->kind].root) = root;
    if (layouts[known->kind].state) *slot_of(stream, layouts[known->kind].state) = zero;
  } else if (context_id && !(known->facts & PLAIN)) {
    stream = construct(known, context_id, root);
  }
  Py_DecRef(context_id);
  return stream;
}

// Makes a stream and tells it; 0 without an exception if there is no quick way.
static PyObject *first_quickly(
    const Quick *quick, u32 root_id, PyObject *root, const u32 *numbers, u32 count, int *is_quick, int *is_over
) {
  PyObject *type = class_of_streams(root, quick->kind), *result = 0;
  Class *known = type ? find_class_of(type, quick->kind) : 0;
  if (!type) PyErr_Clear();
  else if (!known && quick->kind == TCP && is_router(type)) {
    *is_quick = *is_over = 1;
    know_router(root_id, root, class_names[TCP], type);
    PyObject *routed = route_connection((Router *)type);
    Py_DecRef(type);
    return routed;
  } else Py_DecRef(type); // the root's class, or the root, has it still
  if (!known || known->facts & quick->slow) return 0;
  *is_quick = 1;
  u32 facts = known->facts;
  PyObject *stream = make_stream(known, numbers[0], root);
  if (!stream) return 0;
  if (!(facts & KEPT) || put_into(known_streams, numbers[0], stream)) {
    if (has_state(stream, quick->kind)) {
      change_state(stream, quick->kind, quick->clear, quick->set);
      result = take_result(quick, stream, numbers[0], tell(quick, known, stream, numbers, count));
    }
    *is_over = result && (facts & (PLAIN | KEPT)) == PLAIN;
    if (!result && !(facts & KEPT)) {
      // The failure policy must know what became of it.
      PyObject *error = PyErr_GetRaisedException();
      if (!put_into(known_streams, numbers[0], stream)) PyErr_Clear();
      PyErr_SetRaisedException(error);
    }
  }
  if (*is_over) let_go(known, stream);
  else Py_DecRef(stream);
  return result;
}

// Tells a stream that is there already; as above.
static PyObject *tell_quickly(const Quick *quick, const u32 *numbers, u32 count, int *is_quick) {
  PyObject *stream = find_stream(numbers[0]), *result = 0;
  Class *known = stream ? find_class_of(Py_TYPE(stream), quick->kind) : 0;
  if (!known || known->facts & quick->slow || find_in(waiting_tasks, numbers[0])) return 0;
  *is_quick = 1;
  Py_IncRef(stream); // whatever the method does to `known_streams`
  change_state(stream, quick->kind, quick->clear, quick->set);
  result = take_result(quick, stream, numbers[0], tell(quick, known, stream, numbers, count));
  Py_DecRef(stream);
  return result;
}

// Drops a stream at its end if there is nothing to be told: the quick way of proxy_on_delete.
static int drop(const Quick *quick, PyObject *stream, u32 number) {
  Class *known = quick->method ? find_class(Py_TYPE(stream)) : 0;
  if (!known || !(known->facts & SILENT) || find_in(waiting_tasks, number) || find_in(open_calls, number)) return 0;
  Speaker outer = begin_callback(number);
  // Whether it is over, only who still has it can ask, or its own end.
  if (*(u32 *)stream != 1 || !known->reusable) change_state(stream, known->kind, quick->clear, quick->set);
  if (take_from(known_streams, number)) let_go(known, stream);
  end_callback(outer);
  return 1;
}

// Forgets a context that is over; 0 if Python has to be told.
static int forget(const Quick *quick, u32 number) {
  if (!known_streams) return 0;
  PyObject *stream = find_stream(number);
  if (stream) return drop(quick, stream, number);
  PyObject *context_id = PyLong_FromUnsignedLong(number);
  int forgotten = context_id && !PyDict_Contains(known_roots, context_id) && !(undecided && PyDict_Contains(undecided, context_id));
  if (context_id) Py_DecRef(context_id);
  if (!forgotten) PyErr_Clear();
  return forgotten;
}

// set_layout(kind, attribute of the root, unmade, look_again, example, its slots' values...): finds out where the slots are. No other has
// these values.
static PyObject *py_set_layout(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  u32 kind, *found[3];
  if (count < 7 || count > 8 || !take_numbers(arguments, &kind, 1) || kind >= KINDS)
    return usage("set_layout(kind, attribute, unmade, look_again, example, context_id, root[, state])");
  found[0] = &layouts[kind].context_id, found[1] = &layouts[kind].root, found[2] = &layouts[kind].state;
  Py_ssize_t slots = count - 5;
  for (Py_ssize_t i = 0; i < slots; i++)
    if (!(*found[i] = find_slot(arguments[4], arguments[5 + i], slots)))
      return usage("set_layout(): the example does not have its slots where objects have them");
  layouts[kind].words = 2 + slots;
  function_type = Py_TYPE(arguments[2]);
  Py_DecRef(replace(&unmade[kind], arguments[2]));
  Py_DecRef(replace(&look_again[kind], arguments[3]));
  return replace(&class_names[kind], arguments[1]);
}

// ---- calling Python

// A stream is made and told of its first callback in one call: `function(context_id, root, *more)`. A root whose constructor raised has
// no object: that is as if there were no filter.
static PyObject *call_first(PyObject *function, PyObject *root, const u32 *numbers, u32 count) {
  PyObject *result = 0, *arguments[MOST_NUMBERS + 2] = {0};
  u32 made = 0;
  while (made < count && (arguments[made ? made + 2 : 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
  arguments[2] = root;
  if (made == count)
    result = PyObject_Vectorcall(function, arguments + 1, (count + 1) | VECTORCALL_ARGUMENTS_OFFSET, 0);
  while (made-- > 0) Py_DecRef(arguments[made ? made + 2 : 1]);
  return result;
}

// What a callback gives back: 0 for None. A failure's value is the fallback.
static u32 take_value(
    const char *callback, PyObject *result, u32 context_id, u32 parent_context_id, u32 fallback, Reader *read
) {
  if (result == none) return 0;
  u32 value = result ? read(callback, result, fallback) : fallback;
  if (value != fallback || !PyErr_Occurred()) return value;
  return raised(callback, context_id, parent_context_id, fallback);
}

// Whether the router of a new connection is known already.
static int is_routed(u32 parent_context_id) {
  return parent_context_id && has_known_router(parent_context_id) && is_made((const Router *)latest_router.router);
}

static u32 run_routed(const char *callback, u32 context_id, u32 fallback, Reader *read) {
  u32 parent = held_back_parent(context_id), value = 0;
  Speaker outer = begin_callback(context_id);
  PyObject *router = latest_router.router;
  Py_IncRef(router); // whatever its function does to the root
  PyObject *result = route_quickly((Router *)router);
  if (result != none) value = take_value(callback, result, context_id, parent, fallback, read);
  Py_DecRef(router);
  note_over(context_id);
  end_callback(outer);
  return value;
}

static u32 run_first(
    PyObject *function, const Quick *quick, const char *callback, const u32 *numbers, u32 count, u32 parent_context_id,
    u32 fallback, Reader *read
) {
  PyObject *root = find_root(parent_context_id), *result = 0;
  if (!root && !PyErr_Occurred()) return fallback;
  Speaker outer = begin_callback(numbers[0]);
  int is_quick = 0, is_over = 0;
  if (root && quick->method) result = first_quickly(quick, parent_context_id, root, numbers, count, &is_quick, &is_over);
  if (root && !is_quick) result = call_first(function, root, numbers, count);
  u32 value = take_value(callback, result, numbers[0], parent_context_id, fallback, read);
  if (is_over) note_over(numbers[0]);
  end_callback(outer);
  return value;
}

static PyObject *call(PyObject *function, const u32 *numbers, u32 count) {
  PyObject *arguments[MOST_NUMBERS + 1] = {0}, *result = 0;
  u32 made = 0;
  while (made < count && (arguments[made + 1] = PyLong_FromUnsignedLong(numbers[made]))) made++;
  if (made == count) result = PyObject_Vectorcall(function, arguments + 1, count | VECTORCALL_ARGUMENTS_OFFSET, 0);
  while (made) Py_DecRef(arguments[made--]);
  return result;
}

static u32 run_callback(
    PyObject *function, const Quick *quick, const char *callback, const u32 *numbers, u32 count, u32 fallback, Reader *read
) {
  if (!function) return fallback;
  Speaker outer = begin_callback(numbers[0]);
  int is_quick = 0;
  PyObject *result = quick->method ? tell_quickly(quick, numbers, count, &is_quick) : 0;
  if (!is_quick) result = call(function, numbers, count);
  u32 value = take_value(callback, result, numbers[0], 0, fallback, read);
  end_callback(outer);
  return value;
}

#endif
