/* The benchmark's client. It makes connections, and writes down for each what load.py's RECORD says.
 *
 * client rounds SEED ROUNDS PAUSE_NS OUT PORT...       one connection after the other: in each round one to every port, in an order
 *                                                      drawn anew, with a pause after each
 * client flood SEED COUNT CONCURRENCY OUT PORT...      COUNT connections, always CONCURRENCY of them under way; ports in turn
 * client schedule SEED COUNT RATE OUT PORT...          COUNT connections at times fixed beforehand (Poisson, RATE a second),
 *                                                      whether earlier ones are answered or not; ports in turn
 *
 * With PORT+BYTES@PROCESSOR, of rounds, a thread on that processor walks over so many bytes before each connection.
 *
 * A connection's time runs until the first byte of the reply: from the connect, or, of a schedule, from the time at which it should
 * have been made, so that a proxy that is late cannot hide the connections that had to wait for it.
 *
 * Sources are 127.22.0.1 to 127.22.0.250, drawn anew for each connection (for each round). The end is a reset, which leaves no
 * TIME_WAIT behind: a run makes more connections than a host has ports.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 250
#define MAX_OPEN 4096
#define TIMEOUT_NS 10000000000ULL

struct record {
    uint64_t due, sent, first_byte; /* nanoseconds since the run's start; first_byte 0: no reply */
    uint16_t port_index;
    uint8_t source; /* the last byte of the source address */
    uint8_t reply;  /* the last character of the router's name; 0: none */
    uint32_t unused;
};

static uint64_t start;
static struct record *records;

static void die(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t now(void) { return clock_ns() - start; }

/* splitmix64: the same numbers from the same seed on every machine. */
static uint64_t random_state;
static uint64_t random_u64(void) {
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static int open_socket(uint8_t source, int flags) {
    int connection = socket(AF_INET, SOCK_STREAM | flags, 0), yes = 1;
    if (connection < 0)
        die("socket");
    struct linger reset = {1, 0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f160000U | source)};
    /* The kernel chooses the port when it knows the whole connection: else bind() runs out of them. */
    if (setsockopt(connection, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes) ||
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) ||
        bind(connection, (struct sockaddr *)&address, sizeof address))
        die("bind to 127.22.0.x");
    return connection;
}

static int connect_to(int connection, uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(connection, (struct sockaddr *)&address, sizeof address);
}

/* A reply is a router's name and a newline, written at once. */
static void take_reply(struct record *r, int connection) {
    char reply[64];
    ssize_t size = read(connection, reply, sizeof reply);
    uint64_t at = now();
    if (size > 1 && reply[size - 1] == '\n') {
        r->first_byte = at;
        r->reply = (uint8_t)reply[size - 2];
    }
}

/* ---- something else that uses the worker's caches
 *
 * A thread on the worker's processor is woken before each connection and walks over so many bytes, a line at a time. It is woken for
 * none at all too, so that the walk is the only difference. */
#define LINE 64

static struct {
    int processor;
    volatile char *bytes;
    int wake[2];
    atomic_ulong asked, walked; /* numbers of walks */
} walker = {.processor = -1};

static void *walk(void *unused) {
    size_t size;
    (void)unused;
    while (read(walker.wake[0], &size, sizeof size) == sizeof size) {
        for (size_t at = 0; at < size; at += LINE)
            walker.bytes[at]++;
        atomic_fetch_add(&walker.walked, 1);
    }
    return NULL;
}

static void start_walker(size_t most) {
    pthread_t thread;
    cpu_set_t its, others;
    walker.bytes = calloc(1, most + LINE);
    CPU_ZERO(&its);
    CPU_SET(walker.processor, &its);
    if (!walker.bytes || pipe2(walker.wake, O_CLOEXEC) || sched_getaffinity(0, sizeof others, &others))
        die("the walker");
    if (pthread_create(&thread, NULL, walk, NULL) || pthread_detach(thread) ||
        pthread_setaffinity_np(thread, sizeof its, &its))
        die("the walker's processor");
    /* The client waits for the walker without a pause: elsewhere, if there is another processor. */
    CPU_CLR(walker.processor, &others);
    if (CPU_COUNT(&others) && sched_setaffinity(0, sizeof others, &others))
        die("the client's processors");
}

static void use_caches(size_t size) {
    unsigned long wanted = ++walker.asked;
    if (write(walker.wake[1], &size, sizeof size) != sizeof size)
        die("the walker");
    while (atomic_load(&walker.walked) < wanted)
        sched_yield();
}

static void rounds(long count, uint64_t pause, int ports, uint16_t *port, size_t *bytes) {
    int order[ports];
    struct timeval timeout = {.tv_sec = TIMEOUT_NS / 1000000000ULL};
    for (int i = 0; i < ports; i++)
        order[i] = i;
    for (long round = 0; round < count; round++) {
        uint8_t source = (uint8_t)(1 + random_u64() % SOURCES);
        for (int i = ports - 1; i > 0; i--) {
            int j = (int)(random_u64() % (uint64_t)(i + 1)), swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        for (int i = 0; i < ports; i++) {
            struct record *r = records++;
            if (walker.processor >= 0)
                use_caches(bytes[order[i]]);
            int connection = open_socket(source, SOCK_CLOEXEC);
            setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
            *r = (struct record){.port_index = (uint16_t)order[i], .source = source};
            r->due = r->sent = now();
            if (connect_to(connection, port[order[i]]))
                die("connect");
            take_reply(r, connection);
            close(connection);
            /* Not a sleep: that would let the processor cool down, by an amount that differs. What the proxy does after a connection's
             * end must not fall on the next one. */
            for (uint64_t until = now() + pause; now() < until;)
                ;
        }
    }
}

static int wait_until(int poll, struct epoll_event *events, int size, uint64_t due) {
    uint64_t at = now();
    struct timespec left = {0, 0};
    if (due > at) {
        left.tv_sec = (time_t)((due - at) / 1000000000ULL);
        left.tv_nsec = (long)((due - at) % 1000000000ULL);
    }
    int ready = (int)syscall(SYS_epoll_pwait2, poll, events, size, &left, NULL, 0);
    if (ready < 0 && errno != EINTR)
        die("epoll_pwait2");
    return ready < 0 ? 0 : ready;
}

/* rate 0: as many as `limit` allows at a time. */
static void many(long count, double rate, long limit, int ports, uint16_t *port) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[256];
    static int sockets[MAX_OPEN];
    static long owner[MAX_OPEN], idle[MAX_OPEN];
    long free_slots = limit, made = 0, done = 0;
    double due = 0;
    for (long i = 0; i < limit; i++)
        idle[i] = limit - 1 - i;
    for (long i = 0; i < count; i++) {
        records[i] = (struct record){
            .port_index = (uint16_t)(i % ports), .source = (uint8_t)(1 + random_u64() % SOURCES), .due = (uint64_t)due};
        if (rate > 0)
            due += -log(((double)(random_u64() >> 11) + 1) / 9007199254740993.0) / rate * 1e9;
    }
    uint64_t last = 0;
    while (done < count) {
        while (made < count && free_slots && (rate == 0 || records[made].due <= now())) {
            struct record *r = &records[made];
            long slot = idle[--free_slots];
            int connection = open_socket(r->source, SOCK_CLOEXEC | SOCK_NONBLOCK);
            struct epoll_event interest = {.events = EPOLLIN, .data.u64 = (uint64_t)slot};
            sockets[slot] = connection;
            owner[slot] = made++;
            r->sent = now();
            if (rate == 0)
                r->due = r->sent;
            if (connect_to(connection, port[r->port_index]) && errno != EINPROGRESS)
                die("connect");
            if (epoll_ctl(poll, EPOLL_CTL_ADD, connection, &interest))
                die("epoll_ctl");
        }
        int ready = wait_until(poll, events, 256, made < count && free_slots && rate > 0 ? records[made].due : now() + 100000000);
        for (int i = 0; i < ready; i++) {
            long slot = (long)events[i].data.u64;
            take_reply(&records[owner[slot]], sockets[slot]);
            close(sockets[slot]);
            idle[free_slots++] = slot;
            done++;
        }
        if (ready)
            last = now();
        else if (now() > last + TIMEOUT_NS && made > done)
            break; /* what has no reply by now stays without one */
        if (made == done && !ready)
            last = now();
    }
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "usage: client rounds|flood|schedule SEED COUNT PAUSE_NS|CONCURRENCY|RATE OUT PORT...\n");
        return 2;
    }
    const char *mode = argv[1];
    random_state = strtoull(argv[2], NULL, 10);
    long count = atol(argv[3]);
    double argument = atof(argv[4]);
    int ports = argc - 6, out = open(argv[5], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    uint16_t port[ports];
    size_t bytes[ports], most = 0;
    for (int i = 0; i < ports; i++)
        if (sscanf(argv[6 + i], "%hu+%zu@%d", &port[i], &bytes[i], &walker.processor) == 3 && bytes[i] > most)
            most = bytes[i];
    long total = strcmp(mode, "rounds") ? count : count * ports;
    struct record *all = calloc((size_t)total, sizeof *all);
    if (out < 0 || !all)
        die(argv[5]);
    memset(all, 1, (size_t)total * sizeof *all); /* no page fault while it measures */
    memset(all, 0, (size_t)total * sizeof *all);
    records = all;
    /* By default the kernel may wake a sleeper 50 microseconds late. */
    prctl(PR_SET_TIMERSLACK, 1);
    if (walker.processor >= 0)
        start_walker(most);
    start = clock_ns();
    if (!strcmp(mode, "rounds"))
        rounds(count, (uint64_t)argument, ports, port, bytes);
    else if (!strcmp(mode, "flood") && argument >= 1 && argument <= MAX_OPEN)
        many(count, 0, (long)argument, ports, port);
    else if (!strcmp(mode, "schedule") && argument > 0)
        many(count, argument, MAX_OPEN, ports, port);
    else {
        fprintf(stderr, "client: there is no %s with %s\n", mode, argv[4]);
        return 2;
    }
    uint64_t elapsed = now();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    size_t left = (size_t)total * sizeof *all;
    for (const char *at = (const char *)all; left;) {
        ssize_t written = write(out, at, left);
        if (written <= 0)
            die(argv[5]);
        at += written;
        left -= (size_t)written;
    }
    printf("%llu %lld\n", (unsigned long long)elapsed,
           ((long long)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
               ((long long)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL);
    return 0;
}
