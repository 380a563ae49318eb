// Reads the IP address in an address as Envoy writes it: "10.0.0.1:4711", "[2001:db8::1]:4711", either also without port.
#ifndef ADDRESS_H
#define ADDRESS_H
#include "boundary.h"

enum { AF_INET = 1, AF_INET6 = 2, LONGEST = 45 };
int LIBC(inet_pton)(int, const char *, void *);

static const char *find(const char *from, const char *end, char wanted) {
  while (from < end && *from != wanted) from++;
  return from;
}

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

// Writes the packed address and returns its size, 4 or 16; 0 where there is none. IPv4 written as IPv6 is IPv4.
static u32 read_address(const char *text, u32 size, u8 *packed) {
  const char *end = text + size, *host = text, *host_end, *port;
  int family = AF_INET6;
  if (size && *text == '[') {
    host_end = find(++host, end, ']');
    if (host_end == end) return 0;
    port = host_end + 1;
  } else {
    port = host_end = find(text, end, ':');
    // A second colon: IPv6, which without brackets has no port.
    if (host_end == end || find(host_end + 1, end, ':') == end) family = AF_INET;
    else port = host_end = end;
  }
  if (!is_port(port, end)) return 0;
  if (family == AF_INET6) {
    const char *zone = find(host, host_end, '%');
    if (zone < host_end && (zone + 1 == host_end || find(zone + 1, host_end, '%') < host_end || find(zone, host_end, '/') < host_end))
      return 0;
    host_end = zone;
  }
  char copy[LONGEST + 1];
  u32 length = host_end - host;
  if (length > LONGEST || find(host, host_end, 0) < host_end) return 0;
  for (u32 i = 0; i < length; i++) copy[i] = host[i];
  copy[length] = 0;
  if (inet_pton(family, copy, packed) != 1) return 0;
  if (family == AF_INET) return 4;
  for (u32 i = 0; i < 12; i++)
    if (packed[i] != (i < 10 ? 0 : 0xff)) return 16;
  for (u32 i = 0; i < 4; i++) packed[i] = packed[12 + i];
  return 4;
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
