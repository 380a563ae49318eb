// The loop over instructions, once for narrow and once for wide code.

#define READ(type) (((const unaligned_##type *)((code += sizeof(type)) - sizeof(type)))->value)
#define READ_(type) READ(type)
#define NEXT frame[READ_(SLOT)]
#define JUMP_BY(position) code = (position) + ((const struct __attribute__((packed)) { DISTANCE value; } *)(position))->value

#define UNARY(opcode, to, from, expression) \
  case opcode: { \
    Slot *result = &NEXT; \
    from a = NEXT.from; \
    result->to = (expression); \
    break; \
  }
#define BINARY(opcode, to, from, expression) \
  case opcode: { \
    Slot *result = &NEXT; \
    from a = NEXT.from, b = NEXT.from; \
    result->to = (expression); \
    break; \
  }
// The same with a number of one byte as second operand.
#define INTEGERS(opcode, with_const8, to, from, expression) \
  BINARY(opcode, to, from, expression) \
  case with_const8: { \
    Slot *result = &NEXT; \
    from a = NEXT.from, b = (from)READ(i8); \
    result->to = (expression); \
    break; \
  }
// What a load gives and a store takes is of the instruction's own type; a float's bits are an integer's.
#define LOAD(opcode, to) \
  case opcode: { \
    to GUEST(opcode)(u32 address); \
    Slot *result = &NEXT; \
    u32 address = NEXT.u32; \
    result->to = guest_##opcode(at(address, read_number(&code))); \
    break; \
  }
#define STORE(opcode, from) \
  case opcode: { \
    void GUEST(opcode)(u32 address, from value); \
    u32 address = NEXT.u32; \
    from value = NEXT.from; \
    guest_##opcode(at(address, read_number(&code)), value); \
    break; \
  }

// Runs a function from its start, or, with all its locals in the frame, from `code`.
EXPORT(RUN) void RUN(const State *state, const Body *body, Slot *frame, const u8 *code) {
  Slot *top;
enter:
  top = frame + body->frame;
  if ((const u64 *)top > state->limit) overrun();
  if (!code) {
    for (Slot *local = frame + body->parameters, *end = frame + body->locals; local < end; local++) local->u64 = 0;
    code = body->code;
  }
  for (;;) switch (*code++) {
    case 0x00: // UNREACHABLE
      TRAP();
    case 0x01: { // COPY
      Slot *result = &NEXT;
      result->u64 = NEXT.u64;
      break;
    }
    case 0x02: // JUMP
      JUMP_BY(code);
      break;
    case 0x03: // JUMP_IF
      if (NEXT.u32)
        JUMP_BY(code);
      else
        code += sizeof(DISTANCE);
      break;
    case 0x04: // JUMP_UNLESS
      if (NEXT.u32)
        code += sizeof(DISTANCE);
      else
        JUMP_BY(code);
      break;
    case 0x05: { // JUMP_TABLE
      u32 index = NEXT.u32, last = read_number(&code);
      if (index > last) index = last;
      JUMP_BY(code + index * sizeof(DISTANCE));
      break;
    }
    case 0x06: // RETURN
    case 0x07: { // RETURN_VALUE
      u64 value = code[-1] == 0x07 ? NEXT.u64 : 0;
      Link link = frame[-1].link;
      if (!link.code) {
        frame->u64 = value;
        return;
      }
      top = frame - 1;
      frame = (Slot *)link.frame;
      code = (const u8 *)link.code;
      NEXT.u64 = value;
      break;
    }
    case 0x08: { // CALL
      body = find(state, READ_(FUNCTION));
      Slot *called = top + 1;
      for (u32 i = 0; i < body->parameters; i++) called[i] = NEXT;
      if (body->mode == OWN) {
        called[-1].link = (Link){(u32)code, (u32)frame};
        frame = called;
        code = 0;
        goto enter;
      }
      if (body->mode == KEPT) {
        ((Call *)(state->types + body->type))(body->locals, called);
      } else {
        run_body(state, body, called, 0);
      }
      NEXT.u64 = called->u64;
      break;
    }
    case 0x09: { // CALL_INDIRECT
      u32 type = read_number(&code), parameters = read_number(&code), index = NEXT.u32;
      Slot *called = top + 1;
      for (u32 i = 0; i < parameters; i++) called[i] = NEXT;
      u32 function = index < state->element_count ? state->elements[index] : NONE;
      if (function != NONE && (body = find(state, function))->mode == OWN && body->type == type) {
        called[-1].link = (Link){(u32)code, (u32)frame};
        frame = called;
        code = 0;
        goto enter;
      }
      ((Call *)type)(index, called);
      NEXT.u64 = called->u64;
      break;
    }
    case 0x0a: { // SELECT
      Slot *result = &NEXT;
      u64 a = NEXT.u64, b = NEXT.u64;
      result->u64 = NEXT.u32 ? a : b;
      break;
    }
    case 0x0b: { // CONST8
      Slot *result = &NEXT;
      result->i64 = READ(i8);
      break;
    }
    case 0x0c: { // CONST32
      Slot *result = &NEXT;
      result->i64 = READ(i32);
      break;
    }
    case 0x0d: { // CONST64
      Slot *result = &NEXT;
      result->i64 = READ(i64);
      break;
    }
    case 0x0e: { // GLOBAL_GET
      Slot *result = &NEXT;
      get_global(result, read_number(&code));
      break;
    }
    case 0x0f: { // GLOBAL_SET
      Slot *value = &NEXT;
      set_global(value, read_number(&code));
      break;
    }
    case 0x10: // MEMORY_SIZE
      NEXT.u32 = guest_0x3f();
      break;
    UNARY(0x11, u32, u32, guest_0x40(a)) // MEMORY_GROW
    case 0x12: { // MEMORY_COPY
      u32 to = NEXT.u32, from = NEXT.u32;
      guest_0xfc0a(to, from, NEXT.u32);
      break;
    }
    case 0x13: { // MEMORY_FILL
      u32 to = NEXT.u32, value = NEXT.u32;
      guest_0xfc0b(to, value, NEXT.u32);
      break;
    }
    case 0x14: // MARK: it becomes MARKED
      ((u8 *)code)[-1] = 0x15;
      break;
    case 0x15: // MARKED
      break;
    UNARY(0x18, i32, f32, __builtin_wasm_trunc_saturate_s_i32_f32(a))
    UNARY(0x19, u32, f32, __builtin_wasm_trunc_saturate_u_i32_f32(a))
    UNARY(0x1a, i32, f64, __builtin_wasm_trunc_saturate_s_i32_f64(a))
    UNARY(0x1b, u32, f64, __builtin_wasm_trunc_saturate_u_i32_f64(a))
    UNARY(0x1c, i64, f32, __builtin_wasm_trunc_saturate_s_i64_f32(a))
    UNARY(0x1d, u64, f32, __builtin_wasm_trunc_saturate_u_i64_f32(a))
    UNARY(0x1e, i64, f64, __builtin_wasm_trunc_saturate_s_i64_f64(a))
    UNARY(0x1f, u64, f64, __builtin_wasm_trunc_saturate_u_i64_f64(a))

    case 0x2a: // F32_LOAD
    LOAD(0x28, u32)
    case 0x2b: // F64_LOAD
    LOAD(0x29, u64)
    LOAD(0x2c, u32)
    LOAD(0x2d, u32)
    LOAD(0x2e, u32)
    LOAD(0x2f, u32)
    LOAD(0x30, u64)
    LOAD(0x31, u64)
    LOAD(0x32, u64)
    LOAD(0x33, u64)
    LOAD(0x34, u64)
    LOAD(0x35, u64)
    case 0x38: // F32_STORE
    STORE(0x36, u32)
    case 0x39: // F64_STORE
    STORE(0x37, u64)
    STORE(0x3a, u32)
    STORE(0x3b, u32)
    STORE(0x3c, u64)
    STORE(0x3d, u64)
    STORE(0x3e, u64)

    UNARY(0x45, u32, u32, !a)
    INTEGERS(0x46, 0xc5, u32, u32, a == b)
    INTEGERS(0x47, 0xc6, u32, u32, a != b)
    INTEGERS(0x48, 0xc7, u32, i32, a < b)
    INTEGERS(0x49, 0xc8, u32, u32, a < b)
    INTEGERS(0x4a, 0xc9, u32, i32, a > b)
    INTEGERS(0x4b, 0xca, u32, u32, a > b)
    INTEGERS(0x4c, 0xcb, u32, i32, a <= b)
    INTEGERS(0x4d, 0xcc, u32, u32, a <= b)
    INTEGERS(0x4e, 0xcd, u32, i32, a >= b)
    INTEGERS(0x4f, 0xce, u32, u32, a >= b)
    UNARY(0x50, u32, u64, !a)
    INTEGERS(0x51, 0xcf, u32, u64, a == b)
    INTEGERS(0x52, 0xd0, u32, u64, a != b)
    INTEGERS(0x53, 0xd1, u32, i64, a < b)
    INTEGERS(0x54, 0xd2, u32, u64, a < b)
    INTEGERS(0x55, 0xd3, u32, i64, a > b)
    INTEGERS(0x56, 0xd4, u32, u64, a > b)
    INTEGERS(0x57, 0xd5, u32, i64, a <= b)
    INTEGERS(0x58, 0xd6, u32, u64, a <= b)
    INTEGERS(0x59, 0xd7, u32, i64, a >= b)
    INTEGERS(0x5a, 0xd8, u32, u64, a >= b)
    BINARY(0x5b, u32, f32, a == b)
    BINARY(0x5c, u32, f32, a != b)
    BINARY(0x5d, u32, f32, a < b)
    BINARY(0x5e, u32, f32, a > b)
    BINARY(0x5f, u32, f32, a <= b)
    BINARY(0x60, u32, f32, a >= b)
    BINARY(0x61, u32, f64, a == b)
    BINARY(0x62, u32, f64, a != b)
    BINARY(0x63, u32, f64, a < b)
    BINARY(0x64, u32, f64, a > b)
    BINARY(0x65, u32, f64, a <= b)
    BINARY(0x66, u32, f64, a >= b)

    UNARY(0x67, u32, u32, a ? __builtin_clz(a) : 32)
    UNARY(0x68, u32, u32, a ? __builtin_ctz(a) : 32)
    UNARY(0x69, u32, u32, __builtin_popcount(a))
    INTEGERS(0x6a, 0xd9, u32, u32, a + b)
    INTEGERS(0x6b, 0xda, u32, u32, a - b)
    INTEGERS(0x6c, 0xdb, u32, u32, a * b)
    BINARY(0x6d, u32, i32, divide_i32(a, b))
    BINARY(0x6e, u32, u32, divide_u32(a, b))
    BINARY(0x6f, u32, i32, remainder_i32(a, b))
    BINARY(0x70, u32, u32, remainder_u32(a, b))
    INTEGERS(0x71, 0xdc, u32, u32, a & b)
    INTEGERS(0x72, 0xdd, u32, u32, a | b)
    INTEGERS(0x73, 0xde, u32, u32, a ^ b)
    INTEGERS(0x74, 0xdf, u32, u32, a << (b & 31))
    INTEGERS(0x75, 0xe0, i32, i32, a >> (b & 31))
    INTEGERS(0x76, 0xe1, u32, u32, a >> (b & 31))
    BINARY(0x77, u32, u32, rotate_u32(a, b))
    BINARY(0x78, u32, u32, rotate_u32(a, -b))
    UNARY(0x79, u64, u64, a ? __builtin_clzll(a) : 64)
    UNARY(0x7a, u64, u64, a ? __builtin_ctzll(a) : 64)
    UNARY(0x7b, u64, u64, __builtin_popcountll(a))
    INTEGERS(0x7c, 0xe2, u64, u64, a + b)
    INTEGERS(0x7d, 0xe3, u64, u64, a - b)
    INTEGERS(0x7e, 0xe4, u64, u64, a * b)
    BINARY(0x7f, u64, i64, divide_i64(a, b))
    BINARY(0x80, u64, u64, divide_u64(a, b))
    BINARY(0x81, u64, i64, remainder_i64(a, b))
    BINARY(0x82, u64, u64, remainder_u64(a, b))
    INTEGERS(0x83, 0xe5, u64, u64, a & b)
    INTEGERS(0x84, 0xe6, u64, u64, a | b)
    INTEGERS(0x85, 0xe7, u64, u64, a ^ b)
    INTEGERS(0x86, 0xe8, u64, u64, a << (b & 63))
    INTEGERS(0x87, 0xe9, i64, i64, a >> (b & 63))
    INTEGERS(0x88, 0xea, u64, u64, a >> (b & 63))
    BINARY(0x89, u64, u64, rotate_u64(a, b))
    BINARY(0x8a, u64, u64, rotate_u64(a, -b))

    UNARY(0x8b, f32, f32, __builtin_fabsf(a))
    UNARY(0x8c, f32, f32, -a)
    UNARY(0x8d, f32, f32, __builtin_ceilf(a))
    UNARY(0x8e, f32, f32, __builtin_floorf(a))
    UNARY(0x8f, f32, f32, __builtin_truncf(a))
    UNARY(0x90, f32, f32, __builtin_rintf(a))
    UNARY(0x91, f32, f32, __builtin_sqrtf(a))
    BINARY(0x92, f32, f32, a + b)
    BINARY(0x93, f32, f32, a - b)
    BINARY(0x94, f32, f32, a * b)
    BINARY(0x95, f32, f32, a / b)
    BINARY(0x96, f32, f32, __builtin_wasm_min_f32(a, b))
    BINARY(0x97, f32, f32, __builtin_wasm_max_f32(a, b))
    BINARY(0x98, f32, f32, __builtin_copysignf(a, b))
    UNARY(0x99, f64, f64, __builtin_fabs(a))
    UNARY(0x9a, f64, f64, -a)
    UNARY(0x9b, f64, f64, __builtin_ceil(a))
    UNARY(0x9c, f64, f64, __builtin_floor(a))
    UNARY(0x9d, f64, f64, __builtin_trunc(a))
    UNARY(0x9e, f64, f64, __builtin_rint(a))
    UNARY(0x9f, f64, f64, __builtin_sqrt(a))
    BINARY(0xa0, f64, f64, a + b)
    BINARY(0xa1, f64, f64, a - b)
    BINARY(0xa2, f64, f64, a * b)
    BINARY(0xa3, f64, f64, a / b)
    BINARY(0xa4, f64, f64, __builtin_wasm_min_f64(a, b))
    BINARY(0xa5, f64, f64, __builtin_wasm_max_f64(a, b))
    BINARY(0xa6, f64, f64, __builtin_copysign(a, b))

    UNARY(0xa8, i32, f32, __builtin_wasm_trunc_s_i32_f32(a))
    UNARY(0xa9, u32, f32, __builtin_wasm_trunc_u_i32_f32(a))
    UNARY(0xaa, i32, f64, __builtin_wasm_trunc_s_i32_f64(a))
    UNARY(0xab, u32, f64, __builtin_wasm_trunc_u_i32_f64(a))
    UNARY(0xac, i64, i32, a)
    UNARY(0xad, u64, u32, a)
    UNARY(0xae, i64, f32, __builtin_wasm_trunc_s_i64_f32(a))
    UNARY(0xaf, u64, f32, __builtin_wasm_trunc_u_i64_f32(a))
    UNARY(0xb0, i64, f64, __builtin_wasm_trunc_s_i64_f64(a))
    UNARY(0xb1, u64, f64, __builtin_wasm_trunc_u_i64_f64(a))
    UNARY(0xb2, f32, i32, (f32)a)
    UNARY(0xb3, f32, u32, (f32)a)
    UNARY(0xb4, f32, i64, (f32)a)
    UNARY(0xb5, f32, u64, (f32)a)
    UNARY(0xb6, f32, f64, (f32)a)
    UNARY(0xb7, f64, i32, a)
    UNARY(0xb8, f64, u32, a)
    UNARY(0xb9, f64, i64, (f64)a)
    UNARY(0xba, f64, u64, (f64)a)
    UNARY(0xbb, f64, f32, a)
    UNARY(0xc0, i32, i32, (i8)a)
    UNARY(0xc1, i32, i32, (i16)a)
    UNARY(0xc2, i64, i64, (i8)a)
    UNARY(0xc3, i64, i64, (i16)a)
    UNARY(0xc4, i64, i64, (i32)a)

    default:
      __builtin_unreachable();
    }
}

#undef READ
#undef READ_
#undef NEXT
#undef JUMP_BY
#undef UNARY
#undef BINARY
#undef INTEGERS
#undef LOAD
#undef STORE
