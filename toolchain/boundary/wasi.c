// The WASI adapter: WASI 0.2 as CPython's libc imports it, answered with what a proxy has.
//
// Clocks and randomness come from the host, stdout and stderr go to proxy_log, there is no environment, no file and no socket, and
// nothing blocks. An export "interface#function" replaces the component's import of that name; a function that no handle can
// ever reach (there is no descriptor to call it on) stays the trap that componentize-py made of it.
#include "boundary.h"

u32 HOST(proxy_log)(u32, const char *, u32);
u32 WASI(random_get)(char *, u32);
u32 WASI(clock_time_get)(u32, u64, u64 *);
void WASI(proc_exit)(u32) __attribute__((noreturn));

enum { REALTIME, MONOTONIC };
enum { INFO = 2, ERROR = 4 };
enum { STDIN = 1, STDOUT, STDERR, POLLABLE, NETWORK };
enum { CLOSED = 1 };                   // stream-error
enum { ACCESS_DENIED = 1, SOCKET_NOT_SUPPORTED = 2 }; // wasi:sockets error-code: access-denied, not-supported

// A list in the caller's return area, empty: a null pointer is not allowed, an aligned one of no size is.
static void empty_list(u32 *result) { result[0] = 8, result[1] = 0; }

static void ok(u8 *result) { result[0] = 0; }

static void error(u8 *result, u32 offset, u8 code) { result[0] = 1, result[offset] = code; }

static u64 clock_now(u32 clock) {
  u64 nanoseconds = 0;
  wasi_clock_time_get(clock, 1, &nanoseconds);
  return nanoseconds;
}

EXPORT("wasi:random/random" WASI_VERSION "#get-random-bytes") void get_random_bytes(u64 size, u32 *result) {
  char *bytes = malloc((u32)size + 1);
  wasi_random_get(bytes, (u32)size);
  result[0] = (u32)bytes, result[1] = (u32)size;
}

typedef struct {
  u64 seconds;
  u32 nanoseconds;
} Datetime;

EXPORT("wasi:clocks/wall-clock" WASI_VERSION "#now") void wall_now(Datetime *result) {
  u64 now = clock_now(REALTIME);
  result->seconds = now / 1000000000, result->nanoseconds = (u32)(now % 1000000000);
}
EXPORT("wasi:clocks/wall-clock" WASI_VERSION "#resolution") void wall_resolution(Datetime *result) {
  result->seconds = 0, result->nanoseconds = 1;
}
// It stands at 0 during the build, and goes on from there with a VM's first reading: what the build read lies before all that a VM reads,
// and what counts from the start of the process (process_time) counts from the start of the VM.
EXPORT("wasi:clocks/monotonic-clock" WASI_VERSION "#now") u64 monotonic_now(void) {
  static u64 begin;
  u64 now = clock_now(MONOTONIC);
  if (now && !begin) begin = now - 1;
  return now > begin ? now - begin : 0;
}
EXPORT("wasi:clocks/monotonic-clock" WASI_VERSION "#resolution") u64 monotonic_resolution(void) { return 1; }

// Nothing may block in a proxy: waits.c refuses what Python code could wait in, and what is left of waiting is over at once.
EXPORT("wasi:clocks/monotonic-clock" WASI_VERSION "#subscribe-duration") u32 subscribe_duration(u64 n) { return POLLABLE; }
EXPORT("wasi:clocks/monotonic-clock" WASI_VERSION "#subscribe-instant") u32 subscribe_instant(u64 n) { return POLLABLE; }
EXPORT("wasi:io/streams" WASI_VERSION "#[method]input-stream.subscribe") u32 input_subscribe(u32 stream) { return POLLABLE; }
EXPORT("wasi:io/streams" WASI_VERSION "#[method]output-stream.subscribe") u32 output_subscribe(u32 stream) { return POLLABLE; }
EXPORT("wasi:io/poll" WASI_VERSION "#[method]pollable.block") void block(u32 pollable) {}
EXPORT("wasi:io/poll" WASI_VERSION "#[resource-drop]pollable") void drop_pollable(u32 pollable) {}
EXPORT("wasi:io/poll" WASI_VERSION "#poll") void poll(u32 *pollables, u32 count, u32 *result) {
  u32 *ready = malloc(count * sizeof *ready + 1);
  for (u32 i = 0; i < count; i++) ready[i] = i;
  result[0] = (u32)ready, result[1] = count;
}

EXPORT("wasi:cli/environment" WASI_VERSION "#get-environment") void get_environment(u32 *result) { empty_list(result); }
EXPORT("wasi:cli/environment" WASI_VERSION "#get-arguments") void get_arguments(u32 *result) { empty_list(result); }
EXPORT("wasi:cli/exit" WASI_VERSION "#exit") void cli_exit(u32 status) { wasi_proc_exit(status); }
EXPORT("wasi_snapshot_preview1#reset_adapter_state") void reset_adapter_state(void) {}

// stdin is at its end; stdout and stderr are lines of the log.
EXPORT("wasi:cli/stdin" WASI_VERSION "#get-stdin") u32 get_stdin(void) { return STDIN; }
EXPORT("wasi:cli/stdout" WASI_VERSION "#get-stdout") u32 get_stdout(void) { return STDOUT; }
EXPORT("wasi:cli/stderr" WASI_VERSION "#get-stderr") u32 get_stderr(void) { return STDERR; }
EXPORT("wasi:cli/terminal-stdin" WASI_VERSION "#get-terminal-stdin") void terminal_stdin(u8 *result) { ok(result); }
EXPORT("wasi:cli/terminal-stdout" WASI_VERSION "#get-terminal-stdout") void terminal_stdout(u8 *result) { ok(result); }
EXPORT("wasi:cli/terminal-stderr" WASI_VERSION "#get-terminal-stderr") void terminal_stderr(u8 *result) { ok(result); }
EXPORT("wasi:cli/terminal-input" WASI_VERSION "#[resource-drop]terminal-input") void drop_terminal_input(u32 terminal) {}
EXPORT("wasi:cli/terminal-output" WASI_VERSION "#[resource-drop]terminal-output") void drop_terminal_output(u32 terminal) {}
EXPORT("wasi:io/streams" WASI_VERSION "#[resource-drop]input-stream") void drop_input_stream(u32 stream) {}
EXPORT("wasi:io/streams" WASI_VERSION "#[resource-drop]output-stream") void drop_output_stream(u32 stream) {}
EXPORT("wasi:io/error" WASI_VERSION "#[resource-drop]error") void drop_error(u32 handle) {}
EXPORT("wasi:io/streams" WASI_VERSION "#[method]input-stream.read") void input_read(u32 stream, u64 size, u8 *result) {
  error(result, 4, CLOSED);
}

// CPython writes a print in pieces, and every proxy_log is a line of its own: whole lines are collected first.
static struct {
  char text[4096];
  u32 size;
} lines[2];

static void flush_line(u32 stream) {
  if (lines[stream - STDOUT].size)
    proxy_log(stream == STDERR ? ERROR : INFO, lines[stream - STDOUT].text, lines[stream - STDOUT].size);
  lines[stream - STDOUT].size = 0;
}
EXPORT("wasi:io/streams" WASI_VERSION "#[method]output-stream.check-write") void check_write(u32 stream, u64 *result) {
  ok((u8 *)result), result[1] = 65536;
}
EXPORT("wasi:io/streams" WASI_VERSION "#[method]output-stream.write") void write(u32 stream, const char *data, u32 size, u8 *result) {
  ok(result);
  if (stream != STDOUT && stream != STDERR) return;
  for (u32 i = 0; i < size; i++) {
    if (data[i] != '\n') lines[stream - STDOUT].text[lines[stream - STDOUT].size++] = data[i];
    if (data[i] == '\n' || lines[stream - STDOUT].size == sizeof lines->text) flush_line(stream);
  }
}
EXPORT("wasi:io/streams" WASI_VERSION "#[method]output-stream.blocking-flush") void blocking_flush(u32 stream, u8 *result) { ok(result); }

// No directory, hence no file; no socket, no names.
EXPORT("wasi:filesystem/preopens" WASI_VERSION "#get-directories") void get_directories(u32 *result) { empty_list(result); }
EXPORT("wasi:sockets/instance-network" WASI_VERSION "#instance-network") u32 instance_network(void) { return NETWORK; }
EXPORT("wasi:sockets/tcp-create-socket" WASI_VERSION "#create-tcp-socket") void create_tcp_socket(u32 family, u8 *result) {
  error(result, 4, SOCKET_NOT_SUPPORTED);
}
EXPORT("wasi:sockets/udp-create-socket" WASI_VERSION "#create-udp-socket") void create_udp_socket(u32 family, u8 *result) {
  error(result, 4, SOCKET_NOT_SUPPORTED);
}
EXPORT("wasi:sockets/ip-name-lookup" WASI_VERSION "#resolve-addresses")
void resolve_addresses(u32 network, const char *name, u32 size, u8 *result) {
  error(result, 4, ACCESS_DENIED);
}
