// Unpacks a block: deflate (RFC 1951), from one place in memory to another.
//
// Whatever the input is, nothing is written but the output's bytes and the room for tables, and it ends. Optimised for size: what an
// engine saves in compiling it is more than what it loses in running it.

#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline, minsize))

enum { END = 256 };

// A Huffman code: what the next FAST bits begin with, as `symbol << 4 | length`, or 0; and by length, for those that are longer.
typedef struct {
  u16 fast[1 << FAST];
  u16 counts[LENGTHS], next[LENGTHS];
  u16 symbols[SYMBOLS];
} Code;

typedef struct room {
  Code literals, distances;
  u8 lengths[SYMBOLS + DISTANCES];
  u8 packed[]; // with eight bytes more, which may be read
} Room;
_Static_assert(sizeof(Room) == ROOM, "contract.py");

typedef struct {
  const u8 *next;
  u64 hold;
  u32 have;
} Bits;

// After this there are 56 bits at least.
INLINE void refill(Bits *bits) {
  bits->hold |= ((const unaligned_u64 *)bits->next)->value << bits->have;
  bits->next += (63 - bits->have) >> 3;
  bits->have |= 56;
}

INLINE u32 take(Bits *bits, u32 count) {
  u32 taken = (u32)bits->hold & ((1u << count) - 1);
  bits->hold >>= count;
  bits->have -= count;
  return taken;
}

OUTLINE u32 find_long(const Code *code, u32 bits) {
  u32 word = 0, first = 0, index = 0;
  for (u32 length = 1; length < LENGTHS; length++, bits >>= 1) {
    u32 count = code->counts[length];
    word |= bits & 1;
    if (word - first < count) return (u32)code->symbols[index + word - first] << 4 | length;
    index += count;
    first = (first + count) << 1;
    word <<= 1;
  }
  damaged();
}

INLINE u32 decode(Bits *bits, const Code *code) {
  u32 entry = code->fast[bits->hold & ((1 << FAST) - 1)];
  if (!entry) entry = find_long(code, (u32)bits->hold);
  take(bits, entry & 15);
  return entry >> 4;
}

OUTLINE void build(Code *code, const u8 *lengths, u32 count) {
  for (u32 i = 0; i < LENGTHS; i++) code->counts[i] = 0;
  for (u32 i = 0; i < 1 << FAST; i++) code->fast[i] = 0;
  for (u32 i = 0; i < count; i++) code->counts[lengths[i]]++;
  u32 word = 0, index = 0;
  for (u32 length = 1; length < LENGTHS; length++) {
    code->next[length] = (u16)index;
    index += code->counts[length];
  }
  for (u32 i = 0; i < count; i++)
    if (lengths[i]) code->symbols[code->next[lengths[i]]++] = (u16)i;
  index = 0;
  for (u32 length = 1; length <= FAST; length++, word <<= 1)
    for (u32 i = 0; i < code->counts[length]; i++, word++, index++)
      for (u32 bits = __builtin_bitreverse32(word) >> (32 - length); bits < 1 << FAST; bits += 1 << length)
        code->fast[bits] = (u16)(code->symbols[index] << 4 | length);
}

// The lengths of both codes, with which a block of the input begins; returns how many are of literals.
INLINE u32 read_lengths(Bits *bits, Room *room) {
  u32 literals = take(bits, 5) + 257, count = literals + take(bits, 5) + 1, orders = take(bits, 4) + 4, i = 0;
  u8 *lengths = room->lengths;
  for (; i < 19; i++) {
    refill(bits);
    lengths[i < 3 ? 16 + i : 0xf1e2d3c4b5a69780 >> (4 * i - 12) & 15] = i < orders ? (u8)take(bits, 3) : 0;
  }
  build(&room->literals, lengths, 19);
  for (i = 0; i < count;) {
    refill(bits);
    u32 symbol = decode(bits, &room->literals), times = 1;
    u8 length = (u8)symbol;
    if (symbol >= 16) {
      length = symbol == 16 && i ? lengths[i - 1] : 0;
      times = symbol == 18 ? take(bits, 7) + 11 : symbol == 17 ? take(bits, 3) + 3 : take(bits, 2) + 3;
    }
    for (; times && i < count; times--) lengths[i++] = length;
  }
  for (; i < SYMBOLS + DISTANCES; i++) lengths[i] = 0;
  return literals;
}

INLINE u32 fixed_lengths(Room *room) {
  for (u32 i = 0; i < SYMBOLS + DISTANCES; i++) room->lengths[i] = i >= SYMBOLS ? 5 : i < 144 || i >= 280 ? 8 : i < 256 ? 9 : 7;
  return SYMBOLS;
}

// Copies forwards, so that what was written is read again where both are close.
INLINE u8 *copy(u8 *out, const u8 *from, u32 size, const u8 *end) {
  if (size > (u32)(end - out)) damaged();
  if ((u32)(out - from) >= 8)
    for (; size >= 8; size -= 8, out += 8, from += 8) ((unaligned_u64 *)out)->value = ((const unaligned_u64 *)from)->value;
  while (size--) *out++ = *from++;
  return out;
}

INLINE void inflate(Room *room, u8 *out, u8 *end) {
  const u8 *begin = out;
  Bits bits = {room->packed, 0, 0};
  u32 last;
  do {
    refill(&bits);
    last = take(&bits, 1);
    u32 kind = take(&bits, 2);
    if (kind == 0) {
      bits.next -= bits.have >> 3;
      u32 size = ((const unaligned_u16 *)bits.next)->value;
      out = copy(out, bits.next + 4, size, end);
      bits = (Bits){bits.next + 4 + size, 0, 0};
      continue;
    }
    u32 literals = kind == 1 ? fixed_lengths(room) : read_lengths(&bits, room);
    // Not one by one: an engine would inline both.
    for (Code *code = &room->literals; code <= &room->distances; code++)
      build(code, room->lengths + (code == &room->distances ? literals : 0), code == &room->distances ? DISTANCES : literals);
    for (;;) {
      refill(&bits);
      u32 symbol = decode(&bits, &room->literals);
      if (symbol < END) {
        if (out == end) damaged();
        *out++ = (u8)symbol;
        continue;
      }
      if (symbol == END) break;
      u32 size = symbol - END + 2, more;
      if (symbol >= 265) {
        more = (symbol - 261) >> 2;
        size = symbol >= 285 ? 258 : ((4 | ((symbol - 257) & 3)) << more) + 3 + take(&bits, more);
      }
      u32 distance = decode(&bits, &room->distances);
      if (distance >= 4) {
        more = (distance >> 1) - 1;
        distance = ((2 | (distance & 1)) << more) + take(&bits, more);
      }
      if (distance >= (u32)(out - begin)) damaged();
      out = copy(out, out - distance - 1, size, end);
    }
  } while (!last);
  if (out != end) damaged();
}
