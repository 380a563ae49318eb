// The kernel's answers to componentize-py, made the same everywhere. Linux on x86_64 and aarch64.
//
// This library is preloaded, and `determinism_install()` is called in the process, after which nothing may be exec'ed. There are
// two nets: libc symbols for what never reaches the kernel (the vDSO's clocks), and a seccomp filter with SIGSYS for raw system
// calls, which componentize-py's Rust makes inline. It fails closed: without seccomp nothing is installed and nothing is built.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EPOCH 1700000000L
#define OURS 0x64657465L // the sixth argument, which none of these calls uses, marks the library's own calls: the filter lets them pass

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
static long kernel(long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = OURS;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
static const int argument_registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
#define ARGUMENT(context, i) ((context)->uc_mcontext.gregs[argument_registers[i]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
static long kernel(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d,
                x4 __asm__("x4") = e, x5 __asm__("x5") = OURS;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#define ARGUMENT(context, i) ((context)->uc_mcontext.regs[i])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "x86_64 and aarch64 only"
#endif

// Time and randomness are real until the installation, then constant: the monotonic clocks stand still.
enum { CLOCKS = 16 };
static int installed;
static struct timespec stopped[CLOCKS];

static long fixed_clock(clockid_t clock, struct timespec *out) {
  if (!installed || clock < 0 || clock >= CLOCKS) return kernel(SYS_clock_gettime, clock, (long)out, 0, 0, 0);
  *out = stopped[clock];
  return 0;
}
static long fixed_random(unsigned char *out, size_t size, long flags) {
  if (!installed) return kernel(SYS_getrandom, (long)out, size, flags, 0, 0);
  for (size_t i = 0; i < size; i++) out[i] = i * 37 + 11;
  return size;
}
static long with_errno(long result) { return result < 0 ? (errno = -result, -1) : result; }

int clock_gettime(clockid_t clock, struct timespec *out) { return with_errno(fixed_clock(clock, out)); }
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  struct timespec now;
  fixed_clock(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec, out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *out) {
  struct timespec now;
  fixed_clock(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
ssize_t getrandom(void *out, size_t size, unsigned flags) { return with_errno(fixed_random(out, size, flags)); }
int getentropy(void *out, size_t size) { return fixed_random(out, size, 0) == (long)size ? 0 : -1; }

// Of a file, its type, permissions and, if it is a regular one, size are real; all else is constant.
static void fix_stat(struct stat *s) {
  s->st_dev = s->st_ino = s->st_nlink = 1;
  s->st_uid = s->st_gid = 0;
  s->st_blksize = 4096;
  if (S_ISDIR(s->st_mode)) s->st_size = 4096;
  s->st_blocks = (s->st_size + 511) / 512;
  s->st_atim = s->st_mtim = s->st_ctim = (struct timespec){EPOCH, 0};
}
static void fix_statx(struct statx *s) {
  struct statx fixed;
  memset(&fixed, 0, sizeof fixed);
  fixed.stx_mask = s->stx_mask & STATX_BASIC_STATS;
  fixed.stx_mode = s->stx_mode;
  fixed.stx_ino = fixed.stx_nlink = fixed.stx_dev_minor = 1;
  fixed.stx_blksize = 4096;
  fixed.stx_size = S_ISDIR(s->stx_mode) ? 4096 : s->stx_size;
  fixed.stx_blocks = (fixed.stx_size + 511) / 512;
  fixed.stx_atime.tv_sec = fixed.stx_mtime.tv_sec = fixed.stx_ctime.tv_sec = EPOCH;
  *s = fixed;
}

// A directory is read whole when it is at its start, and given out sorted by name.
struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
} __attribute__((packed));
#define ENTRY(pointer) ((struct entry *)(pointer))
enum { DIRECTORIES = 4096 };
struct directory {
  char *entries;
  size_t capacity, size, position;
};
static struct directory directories[DIRECTORIES];
static int lock;

static void *pages(size_t size) { return mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static long read_whole(long fd, struct directory *d) {
  for (d->size = d->position = 0;;) {
    if (d->capacity - d->size < 65536) {
      size_t capacity = d->capacity ? d->capacity * 2 : 1 << 18;
      char *grown = pages(capacity);
      if (d->entries) memcpy(grown, d->entries, d->size), munmap(d->entries, d->capacity);
      d->entries = grown, d->capacity = capacity;
    }
    long got = kernel(SYS_getdents64, fd, (long)d->entries + d->size, d->capacity - d->size, 0, 0);
    if (got <= 0) return got;
    d->size += got;
  }
}
static void sort(struct directory *d) {
  size_t count = 0, done = 0, out = 0;
  for (size_t at = 0; at < d->size; at += ENTRY(d->entries + at)->size) count++;
  size_t scratch = d->size + count * 16 + 4096;
  struct entry **by_name = pages(scratch);
  char *sorted = (char *)(by_name + count);
  for (size_t at = 0; at < d->size; at += ENTRY(d->entries + at)->size, done++) {
    size_t low = 0, high = done;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (strcmp(by_name[middle]->name, ENTRY(d->entries + at)->name) < 0) low = middle + 1;
      else high = middle;
    }
    memmove(by_name + low + 1, by_name + low, (done - low) * sizeof *by_name);
    by_name[low] = ENTRY(d->entries + at);
  }
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(by_name[i]->name);
    struct entry *e = ENTRY(sorted + out);
    e->inode = 1, e->offset = i + 1, e->type = by_name[i]->type;
    e->size = (offsetof(struct entry, name) + length + 1 + 7) & ~7UL;
    memcpy(e->name, by_name[i]->name, length);
    out += e->size;
  }
  memcpy(d->entries, sorted, out);
  d->size = out;
  munmap(by_name, scratch);
}
static long sorted_entries(long fd, char *out, size_t size) {
  if (fd < 0 || fd >= DIRECTORIES) return -EBADF;
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {
  }
  struct directory *d = &directories[fd];
  long result = 0;
  if (kernel(SYS_lseek, fd, 0, SEEK_CUR, 0, 0) == 0 && (result = read_whole(fd, d)) == 0) sort(d);
  while (result >= 0 && d->position < d->size) {
    size_t length = ENTRY(d->entries + d->position)->size;
    if (result + length > size) {
      if (!result) result = -EINVAL;
      break;
    }
    memcpy(out + result, d->entries + d->position, length);
    result += length, d->position += length;
  }
  __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
  return result;
}

static void on_trapped_call(int signal, siginfo_t *info, void *context_) {
  ucontext_t *context = context_;
  int saved = errno;
  long number = info->si_syscall, a = ARGUMENT(context, 0), b = ARGUMENT(context, 1), c = ARGUMENT(context, 2),
       d = ARGUMENT(context, 3), e = ARGUMENT(context, 4), result = -ENOSYS;
  switch (number) {
  case SYS_statx:
    result = kernel(number, a, b, c, d, e);
    if (!result) fix_statx((void *)e);
    break;
  case SYS_newfstatat:
    result = kernel(number, a, b, c, d, e);
    if (!result) fix_stat((void *)c);
    break;
#ifdef SYS_stat
  case SYS_stat:
  case SYS_lstat:
#endif
  case SYS_fstat:
    result = kernel(number, a, b, c, d, e);
    if (!result) fix_stat((void *)b);
    break;
  case SYS_getdents64: result = sorted_entries(a, (char *)b, c); break;
  case SYS_getrandom: result = fixed_random((void *)a, b, c); break;
  case SYS_clock_gettime: result = fixed_clock(a, (void *)b); break;
  case SYS_gettimeofday: result = gettimeofday((void *)a, 0); break;
#ifdef SYS_time
  case SYS_time: result = time((void *)a); break;
#endif
  }
  RESULT(context) = result;
  errno = saved;
}

// Returns 0, or the step that failed.
int determinism_install(void) {
  static const int trapped[] = {
      SYS_statx,      SYS_newfstatat, SYS_fstat, SYS_getdents64, SYS_getrandom, SYS_clock_gettime, SYS_gettimeofday,
#ifdef SYS_stat
      SYS_stat,       SYS_lstat,
#endif
#ifdef SYS_time
      SYS_time,
#endif
  };
  enum { TRAPPED = sizeof trapped / sizeof *trapped };
  struct sock_filter program[TRAPPED + 7];
  int n = 0;
#define STATEMENT(code, value) program[n++] = (struct sock_filter)BPF_STMT(code, value)
#define JUMP_IF(value, yes, no) program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
  STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  JUMP_IF(ARCHITECTURE, 0, TRAPPED + 3);
  STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]));
  JUMP_IF(OURS, TRAPPED + 1, 0);
  STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < TRAPPED; i++) JUMP_IF(trapped[i], TRAPPED - i, 0);
  STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  for (int i = 0; i < CLOCKS; i++) kernel(SYS_clock_gettime, i, (long)&stopped[i], 0, 0, 0);
  stopped[CLOCK_REALTIME] = stopped[CLOCK_REALTIME_COARSE] = stopped[CLOCK_TAI] = (struct timespec){EPOCH, 0};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_trapped_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
  if (sigaction(SIGSYS, &action, 0)) return 1;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 2;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){n, program})) return 3;
  installed = 1;
  return 0;
}
