/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throw-away Postgres servers for a benchmark: each in a temporary folder, on a unix socket and, if
 * asked for, on loopback, run by an unprivileged user where we are root (it refuses root). They end
 * with us and leave nothing behind, also when we are killed. A folder for files of our own goes
 * with them.
 */
#ifndef PENSTOCK_TESTS_BENCH_SERVER_H
#define PENSTOCK_TESTS_BENCH_SERVER_H

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVER_USER "nobody"
#define SERVER_MOST 2

struct server {
    char dir[64];
    pid_t pid;
    int port;
    bool tcp;
};

static char server_bin[256];
static struct server *server_list[SERVER_MOST];
static char server_folder[64]; /* ours */

static void server_fail(const char *what)
{
    fprintf(stderr, "bench: %s (see %s/log)\n", what,
            server_list[0] != NULL ? server_list[0]->dir : ".");
    exit(1);
}

/* A program of the server's, as its user; its output goes to the log. */
static pid_t server_spawn(const struct server *s, const char *program, char *const argv[])
{
    char path[320];
    struct passwd *user = geteuid() == 0 ? getpwnam(SERVER_USER) : NULL;
    pid_t parent = getpid(), pid;
    int fd;

    if (geteuid() == 0 && user == NULL)
        server_fail("there is no user " SERVER_USER);
    snprintf(path, sizeof(path), "%s/%s", server_bin, program);
    pid = fork();
    if (pid != 0)
        return pid;
    if (user != NULL &&
        (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent || setsid() < 0 || chdir(s->dir) != 0)
        _exit(126);
    fd = open("/dev/null", O_RDONLY);
    dup2(fd, STDIN_FILENO);
    fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

/*
 * A process that outlives us: it removes the folders that it was told of when we are gone, however
 * that came about. What runs in them ends with us by itself (PR_SET_PDEATHSIG).
 */
static int server_janitor = -1; /* where it is told */

static int server_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

static void server_remove_folder(char *dir)
{
    if (dir[0] != '\0')
        nftw(dir, server_remove, 16, FTW_DEPTH | FTW_PHYS);
    dir[0] = '\0';
}

static void server_stop(void)
{
    int i;

    for (i = 0; i < SERVER_MOST && server_list[i] != NULL; i++) {
        struct server *s = server_list[i];

        if (s->pid > 0) {
            kill(s->pid, SIGINT);
            waitpid(s->pid, NULL, 0);
            s->pid = 0;
        }
        server_remove_folder(s->dir);
        server_list[i] = NULL;
    }
    server_remove_folder(server_folder);
}

static void server_clean(int fd)
{
    char dirs[8][64];
    int n = 0, tries, i;
    struct stat st;

    while (n < 8 && read(fd, dirs[n], sizeof(dirs[n])) == (ssize_t)sizeof(dirs[n]))
        n++;
    for (i = 0; i < n; i++) {
        for (tries = 0; tries < 100 && stat(dirs[i], &st) == 0; tries++) {
            nftw(dirs[i], server_remove, 16, FTW_DEPTH | FTW_PHYS);
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        }
    }
}

static void server_at_exit(void)
{
    int fds[2];

    if (server_janitor >= 0)
        return;
    if (pipe2(fds, O_CLOEXEC) != 0)
        server_fail("no pipe");
    if (fork() == 0) {
        setsid();
        close(fds[1]);
        server_clean(fds[0]);
        _exit(0);
    }
    close(fds[0]);
    server_janitor = fds[1];
    atexit(server_stop);
}

/* path: ended by XXXXXX. */
static void server_make_folder(char path[64])
{
    server_at_exit();
    if (mkdtemp(path) == NULL)
        server_fail("no temporary folder");
    if (write(server_janitor, path, 64) != 64)
        server_fail("nobody cleans up");
}

/* A folder of ours that goes with the servers. */
static inline const char *server_own_folder(void)
{
    if (server_folder[0] == '\0') {
        snprintf(server_folder, sizeof(server_folder), "/tmp/penstock-bench-XXXXXX");
        server_make_folder(server_folder);
    }
    return server_folder;
}

/* Debian's version 15 if it is there, else the last one. */
static void server_find(void)
{
    glob_t g;
    size_t i;

    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &g) != 0 || g.gl_pathc == 0)
        server_fail("no PostgreSQL below /usr/lib/postgresql");
    for (i = 0; i < g.gl_pathc; i++) {
        snprintf(server_bin, sizeof(server_bin), "%s", g.gl_pathv[i]);
        if (strstr(server_bin, "/15/") != NULL)
            break;
    }
    globfree(&g);
}

/* Where it is reached: the socket's folder, or loopback. */
static inline const char *server_host(const struct server *s, bool tcp)
{
    return tcp ? "127.0.0.1" : s->dir;
}

static PGconn *server_connect_host(const struct server *s, bool tcp, const char *extra)
{
    char info[256];
    PGconn *c;

    snprintf(info, sizeof(info), "host=%s port=%d user=postgres dbname=postgres %s",
             server_host(s, tcp), s->port, extra);
    c = PQconnectdb(info);
    if (PQstatus(c) != CONNECTION_OK)
        server_fail(PQerrorMessage(c));
    return c;
}

static inline PGconn *server_connect(const struct server *s, const char *extra)
{
    return server_connect_host(s, false, extra);
}

/* The first field of the last result as text, "" if there is none. */
static void server_ask(PGconn *c, const char *sql, char *out, size_t size)
{
    PGresult *r = PQexec(c, sql);

    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        server_fail(PQerrorMessage(c));
    if (out != NULL)
        snprintf(out, size, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
}

static inline void server_run(PGconn *c, const char *sql)
{
    server_ask(c, sql, NULL, 0);
}

/* What nobody listens on just now. */
static int server_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        server_fail("no free port");
    close(fd);
    return ntohs(a.sin_port);
}

static void server_configure(const struct server *s, const char *const *settings)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/data/postgresql.conf", s->dir);
    f = fopen(path, "a");
    if (f == NULL)
        server_fail("no configuration file");
    fprintf(f, "listen_addresses = '%s'\nport = %d\nunix_socket_directories = '%s'\n",
            s->tcp ? "127.0.0.1" : "", s->port, s->dir);
    for (; *settings != NULL; settings++)
        fprintf(f, "%s\n", *settings);
    fclose(f);
}

static void server_wait(const struct server *s)
{
    char info[128];
    int status, tries;

    snprintf(info, sizeof(info), "host=%s port=%d user=postgres dbname=postgres", s->dir, s->port);
    for (tries = 0; PQping(info) != PQPING_OK; tries++) {
        if (tries == 200 || waitpid(s->pid, &status, WNOHANG) != 0)
            server_fail("the server does not start");
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

static void server_start(struct server *s, bool tcp, const char *const *settings)
{
    char *const init[] = {"initdb", "-D", "data", "-U",         "postgres",  "-A",
                          "trust",  "-E", "UTF8", "--locale=C", "--no-sync", NULL};
    char *const run[] = {"postgres", "-D", "data", NULL};
    struct passwd *user = getpwnam(SERVER_USER);
    int status, i;
    pid_t pid;

    server_find();
    s->tcp = tcp;
    s->port = server_free_port();
    snprintf(s->dir, sizeof(s->dir), "/tmp/penstock-bench-XXXXXX");
    server_make_folder(s->dir);
    for (i = 0; server_list[i] != NULL; i++)
        ;
    server_list[i] = s;
    if (geteuid() == 0 && (user == NULL || chown(s->dir, user->pw_uid, user->pw_gid) != 0))
        server_fail("the folder cannot be given to " SERVER_USER);
    pid = server_spawn(s, "initdb", init);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        server_fail("initdb failed");
    server_configure(s, settings);
    s->pid = server_spawn(s, "postgres", run);
    server_wait(s);
}

#endif
