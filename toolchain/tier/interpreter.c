// Runs cold code (translate.py) on the module's own memory, tables and globals.
//
// There are two memories. All that C reads and writes here is in the tier's: cold code, frames, tables. The module's, which cold code reads
// and writes, has no address in C: there is a call for each instruction on it, of which link.py makes that instruction (GUEST).
//
// A cold function's frame lies on the value stack, behind its caller's frame and a link back to it. A call from cold code to cold code
// is a jump: only a call that goes through compiled code takes room on the engine's own stack. Whatever traps in WebAssembly traps
// here, and nothing here has state of its own: it can be entered again from anything that it calls.
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;

// Opcodes, numbers and structures that Python knows too: made from contract.py when this is compiled.
#include "contract.h"

// The link behind which a frame lies; no `code` where compiled code called.
typedef struct {
  u32 code, frame;
} Link;

typedef union {
  u32 u32;
  i32 i32;
  f32 f32;
  u64 u64;
  i64 i64;
  f64 f64;
  Link link;
} Slot;

// Made by link.py and bridges.py: what C has no word for. A function pointer is an index of the interpreter's own table, which begins with a
// Call for each type that calls through the module's table, and a Call for each type that calls a kept function.
#define TIER(name) __attribute__((import_module("tier"), import_name(#name))) name
typedef void Call(u32 index, Slot *frame);
typedef void Loop(const State *state, const Body *body, Slot *frame, const u8 *code);
typedef void Fetch(State *state, const u8 *body, u8 *top);
void TIER(load)(u8 *to, u32 from, u32 size);
void TIER(overrun)(void) __attribute__((noreturn));
void TIER(damaged)(void) __attribute__((noreturn));
void TIER(put)(u8 *to, const u8 *from, u32 size); // to the module's memory
void TIER(get_global)(Slot *result, u32 index);
void TIER(set_global)(const Slot *value, u32 index);

// An instruction of WebAssembly, by its name, on the module's memory.
#define GUEST(opcode) __attribute__((import_module("guest"), import_name(#opcode))) guest_##opcode
u32 GUEST(MEMORY_SIZE)(void);
u32 GUEST(MEMORY_GROW)(u32 pages);
void GUEST(MEMORY_COPY)(u32 to, u32 from, u32 size);
void GUEST(MEMORY_FILL)(u32 to, u32 value, u32 size);

#define TRAP() __builtin_trap()
#define EXPORT(name) __attribute__((export_name(NAME_OF(name))))
#define NAME_OF(name) #name

static const Body *find(const State *state, u32 function) {
  const u8 *body = state->bodies + state->offsets[function];
  // Through the table, as the loops are.
  if (!*body) ((Fetch *)(state->loops + 2))((State *)state, body, 0);
  return (const Body *)body;
}

#define UNALIGNED(type) \
  typedef struct __attribute__((packed)) { type value; } unaligned_##type
UNALIGNED(i8);
UNALIGNED(u8);
UNALIGNED(i16);
UNALIGNED(u16);
UNALIGNED(i32);
UNALIGNED(u32);
UNALIGNED(i64);
UNALIGNED(u64);

// A number that is small as a rule. No LEB128: an engine unrolls its loop wherever there is one.
static inline u32 read_number(const u8 **code) {
  u32 number = *(*code)++;
  if (number < TWO_BYTES) return number;
  const u8 *long_number = *code;
  *code += number == TWO_BYTES ? sizeof(u16) : sizeof(u32);
  return number == TWO_BYTES ? ((const unaligned_u16 *)long_number)->value : ((const unaligned_u32 *)long_number)->value;
}

// The effective address of a load or store; no number of 32 bits holds one beyond the last, so it is out of bounds.
static inline u32 at(u32 address, u32 offset) {
  u32 sum = address + offset;
  if (sum < address) TRAP();
  return sum;
}

static inline u32 divide_i32(i32 a, i32 b) {
  if (!b || (b == -1 && a == -0x7fffffff - 1)) TRAP();
  return a / b;
}
static inline u32 divide_u32(u32 a, u32 b) {
  if (!b) TRAP();
  return a / b;
}
static inline u32 remainder_i32(i32 a, i32 b) {
  if (!b) TRAP();
  return b == -1 ? 0 : a % b;
}
static inline u32 remainder_u32(u32 a, u32 b) {
  if (!b) TRAP();
  return a % b;
}
static inline u64 divide_i64(i64 a, i64 b) {
  if (!b || (b == -1 && a == -0x7fffffffffffffff - 1)) TRAP();
  return a / b;
}
static inline u64 divide_u64(u64 a, u64 b) {
  if (!b) TRAP();
  return a / b;
}
static inline u64 remainder_i64(i64 a, i64 b) {
  if (!b) TRAP();
  return b == -1 ? 0 : a % b;
}
static inline u64 remainder_u64(u64 a, u64 b) {
  if (!b) TRAP();
  return a % b;
}
static inline u32 rotate_u32(u32 a, u32 count) { return a << (count & 31) | a >> (-count & 31); }
static inline u64 rotate_u64(u64 a, u64 count) { return a << (count & 63) | a >> (-count & 63); }

static void run_body(const State *state, const Body *body, Slot *frame, const u8 *code) {
  frame[-1].u64 = 0;
  // Through the table, for an engine that inlines what it can would put a loop into whatever comes here.
  ((Loop *)(state->loops + (body->mode == WIDE)))(state, body, frame, code);
}

#include "inflate.h"

#define ADD(begin, end) \
  for (const u32 *word = (const u32 *)(begin); word < (const u32 *)(end); word++) sums += sum += *word

// Whether the state, what lies behind it, and the segment, looked at piece by piece where there is room, are what they were when they were
// packed. The state comes first: it says where all else is.
OUTLINE int sound(const State *state, u8 *room) {
  u64 sum = 0, sums = 0;
  ADD(&state->own_checksum + 1, state + 1);
  if (sums != state->own_checksum) return 0;
  sum = sums = 0;
  ADD(state + 1, state->blocks + state->block_count + 1);
  for (u32 at = 0, size; at < state->packed; at += size) {
    size = state->packed - at < PIECE ? state->packed - at : PIECE;
    load(room, at, size);
    ADD(room, room + size);
  }
  return sums == state->checksum;
}

// Puts into memory the block in which the body of a function lies that has never been called; for no body, what both memories hold at
// the start. Nothing is unpacked to the module's memory itself: `top`, where the value stack is free, is on the way.
EXPORT(fetch) __attribute__((minsize)) void fetch(State *state, const u8 *body, u8 *top) {
  u32 first = state->image, end = state->block_count;
  while (body && end - first > 1) {
    u32 middle = (first + end) / 2;
    if (state->blocks[middle].to <= body)
      first = middle;
    else
      end = middle;
  }
  if (!body) {
    // Not only where there is something to unpack: a bit that flips can say that there is nothing.
    if ((state->at_start || !state->blocks->fetched) && !sound(state, top)) damaged();
    first = 0;
    end = state->at_start;
    state->at_start = 0;
  }
  for (; first < end; first++) {
    Block *block = state->blocks + first;
    u32 size = block[1].from - block->from;
    u8 *to = first < state->image ? top : block->to;
    if (size == block->size) {
      load(to, block->from, size);
    } else {
      load(state->room->packed, block->from, size);
      inflate(state->room, to, to + block->size);
    }
    if (first < state->image) put(block->to, to, block->size);
    block->fetched = 1;
  }
}

#define RUN run_narrow
#define OWN NARROW
#define SLOT u8
#define FUNCTION u16
#define DISTANCE i16
#include "interpreter_loop.h"
#undef RUN
#undef OWN
#undef SLOT
#undef FUNCTION
#undef DISTANCE
#define RUN run_wide
#define OWN WIDE
#define SLOT u16
#define FUNCTION u32
#define DISTANCE i32
#include "interpreter_loop.h"

// Compiled code calls a cold function: its parameters are in the frame, and so will be its result.
EXPORT(run) void run(const State *state, u32 function, Slot *frame) {
  run_body(state, find(state, function), frame, 0);
}

// A kept function comes to a part of it that is cold: its locals are in the frame, and its result will be.
EXPORT(resume) void resume(const State *state, u32 function, u32 at, Slot *frame) {
  const Body *body = find(state, function);
  run_body(state, body, frame, (const u8 *)body + at);
}
