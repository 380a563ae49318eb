// Streams that the proxy has made and Python has not: most are made and told of their first callback in one call into Python.
#ifndef HELD_BACK_H
#define HELD_BACK_H
#include "boundary.h"

// Each number has one place (they are consecutive, and a stream's first callback follows at once); who finds it taken is made at once.
#define HELD_BACK 1024
static struct {
  u32 context_id, parent_context_id;
} held_back[HELD_BACK];

// In the parent's place: a stream that has had its first callback and is nowhere known. Its end is nobody's concern.
#define OVER ~0u

static int hold_back(u32 context_id, u32 parent_context_id) {
  u32 place = context_id % HELD_BACK, before = held_back[place].parent_context_id;
  if (!known_roots || !parent_context_id || parent_context_id == OVER || (before && before != OVER)) return 0;
  held_back[place].context_id = context_id;
  held_back[place].parent_context_id = parent_context_id;
  return 1;
}

// The parent of a stream that is held back; else 0.
static u32 parent_of(u32 context_id) {
  u32 place = context_id % HELD_BACK, parent = held_back[place].parent_context_id;
  return held_back[place].context_id == context_id && parent != OVER ? parent : 0;
}

// The parent of a stream that was held back, and is no longer; else 0.
static u32 held_back_parent(u32 context_id) {
  u32 parent = parent_of(context_id);
  if (parent) held_back[context_id % HELD_BACK].parent_context_id = 0;
  return parent;
}

static void note_over(u32 context_id) {
  u32 place = context_id % HELD_BACK;
  if (held_back[place].context_id == context_id) held_back[place].parent_context_id = OVER;
}

// Whether a stream's end is nobody's concern; it is forgotten.
static int was_over(u32 context_id) {
  u32 place = context_id % HELD_BACK;
  if (held_back[place].context_id != context_id || held_back[place].parent_context_id != OVER) return 0;
  held_back[place].parent_context_id = 0;
  return 1;
}
#endif
