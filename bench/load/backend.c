/* The routers of the benchmark: each writes its name to whoever connects, and closes.
 *
 * backend NAME...   prints the port of each on 127.0.0.1, in order, and serves until a signal ends it.
 *
 * It says as little and as soon as a router can, so that what is measured is the proxy. One thread, no allocation.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_NAMES 16

static int fail(const char *what) {
    perror(what);
    return 1;
}

int main(int argc, char **argv) {
    struct pollfd listeners[MAX_NAMES];
    char lines[MAX_NAMES][64];
    int count = argc - 1;
    if (count < 1 || count > MAX_NAMES) {
        fprintf(stderr, "usage: backend NAME... (%d at most)\n", MAX_NAMES);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) ||
            getsockname(listener, (struct sockaddr *)&address, &size))
            return fail("backend: listen");
        listeners[i] = (struct pollfd){.fd = listener, .events = POLLIN};
        snprintf(lines[i], sizeof lines[i], "%s\n", argv[i + 1]);
        printf("%d\n", ntohs(address.sin_port));
    }
    fflush(stdout);
    for (;;) {
        if (poll(listeners, count, -1) < 0)
            return fail("backend: poll");
        for (int i = 0; i < count; i++) {
            int connection;
            while (listeners[i].revents && (connection = accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                /* A client that is gone already is its own business. */
                (void)send(connection, lines[i], strlen(lines[i]), MSG_NOSIGNAL);
                close(connection);
            }
        }
    }
}
