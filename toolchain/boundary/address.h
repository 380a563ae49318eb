// Reads the IP address in an address as Envoy writes it: "10.0.0.1:4711", "[2001:db8::1]:4711", either also without port.
#ifndef ADDRESS_H
#define ADDRESS_H
#include "boundary.h"

enum { AF_INET = 1, AF_INET6 = 2, LONGEST = 45 };
int LIBC(inet_pton)(int, const char *, void *);

// ":" and a number up to 65535 in at most five digits, or nothing.
static int is_port(const char *from, const char *end) {
  u32 port = 0;
  if (from == end) return 1;
  if (*from != ':' || end - from < 2 || end - from > 6) return 0;
  while (++from < end) {
    if (*from < '0' || *from > '9') return 0;
    port = 10 * port + (*from - '0');
  }
  return port <= 65535;
}

// Nearly every address: IPv4 as Envoy writes it, packed in the order of the network. 0 for any other text, which `read_any_address` decides
// about. The port goes through the same loop as the octets: V8 repeats the body of each small loop that it meets, and each copy is more cache
// lines.
static int read_ipv4(const char *text, const char *end, u32 *packed) {
  u32 address = 0, most = 255;
  for (u32 numbers = 1;; numbers++, text++) {
    const char *from = text;
    u32 number = 0, digit;
    for (; text < end && (digit = (u8)*text - '0') < 10; text++) number = 10 * number + digit;
    u32 digits = text - from;
    if (digits - 1 > 4 || number > most || (digits > 1 && *from == '0')) return 0;
    if (numbers <= 4) address = address >> 8 | number << 24;
    if (text == end) {
      *packed = address;
      return numbers >= 4;
    }
    if (numbers == 5 || *text != (numbers < 4 ? '.' : ':')) return 0;
    if (numbers == 4) most = 65535;
  }
}

// Writes the packed address and returns its size, 4 or 16; 0 where there is none. IPv4 written as IPv6 is IPv4.
static u32 read_any_address(const char *text, u32 size, u8 *packed) {
  const char *end = text + size, *host = text, *colon = end, *close = end, *zone = end, *port = end;
  u32 colons = 0;
  if (size && *text == '[') host++;
  char copy[LONGEST + 1];
  // In one go, which an engine unrolls once: each character has its meaning where it stands first.
  for (const char *at = host; at < end; at++) {
    char c = *at;
    if (c == ':' && !colons++) colon = at;
    if (c == ']' && close == end) close = at;
    if (c == '%' && zone == end) zone = at;
    if (at - host < LONGEST) copy[at - host] = c ? c : ' '; // a zero would end the text
  }
  int family = AF_INET6;
  const char *host_end = end;
  if (host > text) {
    if (close == end) return 0;
    host_end = close;
    port = close + 1;
  } else if (colons < 2) {
    // With a second colon it is IPv6, which without brackets has no port.
    family = AF_INET;
    port = host_end = colon;
  }
  if (!is_port(port, end)) return 0;
  if (family == AF_INET6 && zone < host_end) {
    if (zone + 1 == host_end) return 0;
    for (const char *at = zone + 1; at < host_end; at++)
      if (*at == '%' || *at == '/') return 0;
    host_end = zone;
  }
  if (host_end - host > LONGEST) return 0;
  copy[host_end - host] = 0;
  if (inet_pton(family, copy, packed) != 1) return 0;
  if (family == AF_INET) return 4;
  for (u32 i = 0; i < 12; i++)
    if (packed[i] != (i < 10 ? 0 : 0xff)) return 16;
  for (u32 i = 0; i < 4; i++) packed[i] = packed[12 + i];
  return 4;
}

// The same, with a shorter way for IPv4.
static u32 read_address(const char *text, u32 size, u8 *packed) {
  u32 address;
  if (!read_ipv4(text, text + size, &address)) return read_any_address(text, size, packed);
  __builtin_memcpy(packed, &address, sizeof address);
  return sizeof address;
}

static PyObject *py_packed_address(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  Bytes text;
  u8 packed[16];
  if (count != 1) return usage("packed_address(address)");
  if (!take_bytes(arguments[0], &text)) return 0;
  u32 size = read_address(text.data, text.size, packed);
  return size ? PyBytes_FromStringAndSize((const char *)packed, size) : new_none();
}
#endif
