// The loop over instructions, once for narrow and once for wide code.

#define READ(type) (((const unaligned_##type *)((code += sizeof(type)) - sizeof(type)))->value)
#define READ_(type) READ(type)
#define NEXT frame[READ_(SLOT)]
#define JUMP_BY(position, distance) code = (position) + ((const unaligned_##distance *)(position))->value
// Jumps, with a distance of a type.
#define JUMPS(far, distance) \
  case JUMP##far: \
    JUMP_BY(code, distance); \
    break; \
  case JUMP_IF##far: \
    if (NEXT.u32) \
      JUMP_BY(code, distance); \
    else \
      code += sizeof(distance); \
    break; \
  case JUMP_UNLESS##far: \
    if (NEXT.u32) \
      code += sizeof(distance); \
    else \
      JUMP_BY(code, distance); \
    break; \
  case JUMP_TABLE##far: { \
    u32 index = NEXT.u32, last = read_number(&code); \
    if (index > last) index = last; \
    JUMP_BY(code + index * sizeof(distance), distance); \
    break; \
  }
#define JUMPS_(far, distance) JUMPS(far, distance)

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
#define INTEGERS(opcode, to, from, expression) \
  BINARY(opcode, to, from, expression) \
  case opcode##_CONST8: { \
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
    case UNREACHABLE:
      TRAP();
    case COPY: {
      Slot *result = &NEXT;
      result->u64 = NEXT.u64;
      break;
    }
    JUMPS_(, DISTANCE)
    JUMPS_(_FAR, i32)
    case RETURN:
    case RETURN_VALUE: {
      u64 value = code[-1] == RETURN_VALUE ? NEXT.u64 : 0;
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
    case CALL: {
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
    case CALL_INDIRECT: {
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
    case SELECT: {
      Slot *result = &NEXT;
      u64 a = NEXT.u64, b = NEXT.u64;
      result->u64 = NEXT.u32 ? a : b;
      break;
    }
    case CONST8: {
      Slot *result = &NEXT;
      result->i64 = READ(i8);
      break;
    }
    case CONST32: {
      Slot *result = &NEXT;
      result->i64 = READ(i32);
      break;
    }
    case CONST64: {
      Slot *result = &NEXT;
      result->i64 = READ(i64);
      break;
    }
    case GLOBAL_GET: {
      Slot *result = &NEXT;
      get_global(result, read_number(&code));
      break;
    }
    case GLOBAL_SET: {
      Slot *value = &NEXT;
      set_global(value, read_number(&code));
      break;
    }
    case MEMORY_SIZE:
      NEXT.u32 = guest_MEMORY_SIZE();
      break;
    UNARY(MEMORY_GROW, u32, u32, guest_MEMORY_GROW(a))
    case MEMORY_COPY: {
      u32 to = NEXT.u32, from = NEXT.u32;
      guest_MEMORY_COPY(to, from, NEXT.u32);
      break;
    }
    case MEMORY_FILL: {
      u32 to = NEXT.u32, value = NEXT.u32;
      guest_MEMORY_FILL(to, value, NEXT.u32);
      break;
    }
    case MARK: // it becomes MARKED
      ((u8 *)code)[-1] = MARKED;
      break;
    case MARKED:
      break;
    UNARY(I32_TRUNC_SAT_F32_S, i32, f32, __builtin_wasm_trunc_saturate_s_i32_f32(a))
    UNARY(I32_TRUNC_SAT_F32_U, u32, f32, __builtin_wasm_trunc_saturate_u_i32_f32(a))
    UNARY(I32_TRUNC_SAT_F64_S, i32, f64, __builtin_wasm_trunc_saturate_s_i32_f64(a))
    UNARY(I32_TRUNC_SAT_F64_U, u32, f64, __builtin_wasm_trunc_saturate_u_i32_f64(a))
    UNARY(I64_TRUNC_SAT_F32_S, i64, f32, __builtin_wasm_trunc_saturate_s_i64_f32(a))
    UNARY(I64_TRUNC_SAT_F32_U, u64, f32, __builtin_wasm_trunc_saturate_u_i64_f32(a))
    UNARY(I64_TRUNC_SAT_F64_S, i64, f64, __builtin_wasm_trunc_saturate_s_i64_f64(a))
    UNARY(I64_TRUNC_SAT_F64_U, u64, f64, __builtin_wasm_trunc_saturate_u_i64_f64(a))

    case F32_LOAD:
    LOAD(I32_LOAD, u32)
    case F64_LOAD:
    LOAD(I64_LOAD, u64)
    LOAD(I32_LOAD8_S, u32)
    LOAD(I32_LOAD8_U, u32)
    LOAD(I32_LOAD16_S, u32)
    LOAD(I32_LOAD16_U, u32)
    LOAD(I64_LOAD8_S, u64)
    LOAD(I64_LOAD8_U, u64)
    LOAD(I64_LOAD16_S, u64)
    LOAD(I64_LOAD16_U, u64)
    LOAD(I64_LOAD32_S, u64)
    LOAD(I64_LOAD32_U, u64)
    case F32_STORE:
    STORE(I32_STORE, u32)
    case F64_STORE:
    STORE(I64_STORE, u64)
    STORE(I32_STORE8, u32)
    STORE(I32_STORE16, u32)
    STORE(I64_STORE8, u64)
    STORE(I64_STORE16, u64)
    STORE(I64_STORE32, u64)

    UNARY(I32_EQZ, u32, u32, !a)
    INTEGERS(I32_EQ, u32, u32, a == b)
    INTEGERS(I32_NE, u32, u32, a != b)
    INTEGERS(I32_LT_S, u32, i32, a < b)
    INTEGERS(I32_LT_U, u32, u32, a < b)
    INTEGERS(I32_GT_S, u32, i32, a > b)
    INTEGERS(I32_GT_U, u32, u32, a > b)
    INTEGERS(I32_LE_S, u32, i32, a <= b)
    INTEGERS(I32_LE_U, u32, u32, a <= b)
    INTEGERS(I32_GE_S, u32, i32, a >= b)
    INTEGERS(I32_GE_U, u32, u32, a >= b)
    UNARY(I64_EQZ, u32, u64, !a)
    INTEGERS(I64_EQ, u32, u64, a == b)
    INTEGERS(I64_NE, u32, u64, a != b)
    INTEGERS(I64_LT_S, u32, i64, a < b)
    INTEGERS(I64_LT_U, u32, u64, a < b)
    INTEGERS(I64_GT_S, u32, i64, a > b)
    INTEGERS(I64_GT_U, u32, u64, a > b)
    INTEGERS(I64_LE_S, u32, i64, a <= b)
    INTEGERS(I64_LE_U, u32, u64, a <= b)
    INTEGERS(I64_GE_S, u32, i64, a >= b)
    INTEGERS(I64_GE_U, u32, u64, a >= b)
    BINARY(F32_EQ, u32, f32, a == b)
    BINARY(F32_NE, u32, f32, a != b)
    BINARY(F32_LT, u32, f32, a < b)
    BINARY(F32_GT, u32, f32, a > b)
    BINARY(F32_LE, u32, f32, a <= b)
    BINARY(F32_GE, u32, f32, a >= b)
    BINARY(F64_EQ, u32, f64, a == b)
    BINARY(F64_NE, u32, f64, a != b)
    BINARY(F64_LT, u32, f64, a < b)
    BINARY(F64_GT, u32, f64, a > b)
    BINARY(F64_LE, u32, f64, a <= b)
    BINARY(F64_GE, u32, f64, a >= b)

    UNARY(I32_CLZ, u32, u32, a ? __builtin_clz(a) : 32)
    UNARY(I32_CTZ, u32, u32, a ? __builtin_ctz(a) : 32)
    UNARY(I32_POPCNT, u32, u32, __builtin_popcount(a))
    INTEGERS(I32_ADD, u32, u32, a + b)
    INTEGERS(I32_SUB, u32, u32, a - b)
    INTEGERS(I32_MUL, u32, u32, a * b)
    BINARY(I32_DIV_S, u32, i32, divide_i32(a, b))
    BINARY(I32_DIV_U, u32, u32, divide_u32(a, b))
    BINARY(I32_REM_S, u32, i32, remainder_i32(a, b))
    BINARY(I32_REM_U, u32, u32, remainder_u32(a, b))
    INTEGERS(I32_AND, u32, u32, a & b)
    INTEGERS(I32_OR, u32, u32, a | b)
    INTEGERS(I32_XOR, u32, u32, a ^ b)
    INTEGERS(I32_SHL, u32, u32, a << (b & 31))
    INTEGERS(I32_SHR_S, i32, i32, a >> (b & 31))
    INTEGERS(I32_SHR_U, u32, u32, a >> (b & 31))
    BINARY(I32_ROTL, u32, u32, rotate_u32(a, b))
    BINARY(I32_ROTR, u32, u32, rotate_u32(a, -b))
    UNARY(I64_CLZ, u64, u64, a ? __builtin_clzll(a) : 64)
    UNARY(I64_CTZ, u64, u64, a ? __builtin_ctzll(a) : 64)
    UNARY(I64_POPCNT, u64, u64, __builtin_popcountll(a))
    INTEGERS(I64_ADD, u64, u64, a + b)
    INTEGERS(I64_SUB, u64, u64, a - b)
    INTEGERS(I64_MUL, u64, u64, a * b)
    BINARY(I64_DIV_S, u64, i64, divide_i64(a, b))
    BINARY(I64_DIV_U, u64, u64, divide_u64(a, b))
    BINARY(I64_REM_S, u64, i64, remainder_i64(a, b))
    BINARY(I64_REM_U, u64, u64, remainder_u64(a, b))
    INTEGERS(I64_AND, u64, u64, a & b)
    INTEGERS(I64_OR, u64, u64, a | b)
    INTEGERS(I64_XOR, u64, u64, a ^ b)
    INTEGERS(I64_SHL, u64, u64, a << (b & 63))
    INTEGERS(I64_SHR_S, i64, i64, a >> (b & 63))
    INTEGERS(I64_SHR_U, u64, u64, a >> (b & 63))
    BINARY(I64_ROTL, u64, u64, rotate_u64(a, b))
    BINARY(I64_ROTR, u64, u64, rotate_u64(a, -b))

    UNARY(F32_ABS, f32, f32, __builtin_fabsf(a))
    UNARY(F32_NEG, f32, f32, -a)
    UNARY(F32_CEIL, f32, f32, __builtin_ceilf(a))
    UNARY(F32_FLOOR, f32, f32, __builtin_floorf(a))
    UNARY(F32_TRUNC, f32, f32, __builtin_truncf(a))
    UNARY(F32_NEAREST, f32, f32, __builtin_rintf(a))
    UNARY(F32_SQRT, f32, f32, __builtin_sqrtf(a))
    BINARY(F32_ADD, f32, f32, a + b)
    BINARY(F32_SUB, f32, f32, a - b)
    BINARY(F32_MUL, f32, f32, a * b)
    BINARY(F32_DIV, f32, f32, a / b)
    BINARY(F32_MIN, f32, f32, __builtin_wasm_min_f32(a, b))
    BINARY(F32_MAX, f32, f32, __builtin_wasm_max_f32(a, b))
    BINARY(F32_COPYSIGN, f32, f32, __builtin_copysignf(a, b))
    UNARY(F64_ABS, f64, f64, __builtin_fabs(a))
    UNARY(F64_NEG, f64, f64, -a)
    UNARY(F64_CEIL, f64, f64, __builtin_ceil(a))
    UNARY(F64_FLOOR, f64, f64, __builtin_floor(a))
    UNARY(F64_TRUNC, f64, f64, __builtin_trunc(a))
    UNARY(F64_NEAREST, f64, f64, __builtin_rint(a))
    UNARY(F64_SQRT, f64, f64, __builtin_sqrt(a))
    BINARY(F64_ADD, f64, f64, a + b)
    BINARY(F64_SUB, f64, f64, a - b)
    BINARY(F64_MUL, f64, f64, a * b)
    BINARY(F64_DIV, f64, f64, a / b)
    BINARY(F64_MIN, f64, f64, __builtin_wasm_min_f64(a, b))
    BINARY(F64_MAX, f64, f64, __builtin_wasm_max_f64(a, b))
    BINARY(F64_COPYSIGN, f64, f64, __builtin_copysign(a, b))

    UNARY(I32_TRUNC_F32_S, i32, f32, __builtin_wasm_trunc_s_i32_f32(a))
    UNARY(I32_TRUNC_F32_U, u32, f32, __builtin_wasm_trunc_u_i32_f32(a))
    UNARY(I32_TRUNC_F64_S, i32, f64, __builtin_wasm_trunc_s_i32_f64(a))
    UNARY(I32_TRUNC_F64_U, u32, f64, __builtin_wasm_trunc_u_i32_f64(a))
    UNARY(I64_EXTEND_I32_S, i64, i32, a)
    UNARY(I64_EXTEND_I32_U, u64, u32, a)
    UNARY(I64_TRUNC_F32_S, i64, f32, __builtin_wasm_trunc_s_i64_f32(a))
    UNARY(I64_TRUNC_F32_U, u64, f32, __builtin_wasm_trunc_u_i64_f32(a))
    UNARY(I64_TRUNC_F64_S, i64, f64, __builtin_wasm_trunc_s_i64_f64(a))
    UNARY(I64_TRUNC_F64_U, u64, f64, __builtin_wasm_trunc_u_i64_f64(a))
    UNARY(F32_CONVERT_I32_S, f32, i32, (f32)a)
    UNARY(F32_CONVERT_I32_U, f32, u32, (f32)a)
    UNARY(F32_CONVERT_I64_S, f32, i64, (f32)a)
    UNARY(F32_CONVERT_I64_U, f32, u64, (f32)a)
    UNARY(F32_DEMOTE_F64, f32, f64, (f32)a)
    UNARY(F64_CONVERT_I32_S, f64, i32, a)
    UNARY(F64_CONVERT_I32_U, f64, u32, a)
    UNARY(F64_CONVERT_I64_S, f64, i64, (f64)a)
    UNARY(F64_CONVERT_I64_U, f64, u64, (f64)a)
    UNARY(F64_PROMOTE_F32, f64, f32, a)
    UNARY(I32_EXTEND8_S, i32, i32, (i8)a)
    UNARY(I32_EXTEND16_S, i32, i32, (i16)a)
    UNARY(I64_EXTEND8_S, i64, i64, (i8)a)
    UNARY(I64_EXTEND16_S, i64, i64, (i16)a)
    UNARY(I64_EXTEND32_S, i64, i64, (i32)a)

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
