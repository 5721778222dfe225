/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A throw-away Postgres for a benchmark: in a temporary folder, on a unix socket only, run by an
 * unprivileged user where we are root (it refuses root). It ends with us, also when we are killed,
 * and leaves nothing behind unless we were killed hard.
 */
#ifndef PENSTOCK_TESTS_BENCH_SERVER_H
#define PENSTOCK_TESTS_BENCH_SERVER_H

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVER_USER "nobody"
#define SERVER_PORT "5432" /* only names the socket */

static char server_dir[64];
static char server_bin[256];
static pid_t server_pid;

static void server_fail(const char *what)
{
    fprintf(stderr, "bench: %s (see %s/log)\n", what, server_dir);
    exit(1);
}

/* A program of the server's, as its user; its output goes to the log. */
static pid_t server_spawn(const char *program, char *const argv[])
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
    if (getppid() != parent || setsid() < 0 || chdir(server_dir) != 0)
        _exit(126);
    fd = open("/dev/null", O_RDONLY);
    dup2(fd, STDIN_FILENO);
    fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

static int server_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void server_stop(void)
{
    if (server_pid > 0) {
        kill(server_pid, SIGINT);
        waitpid(server_pid, NULL, 0);
        server_pid = 0;
    }
    if (server_dir[0] != '\0')
        nftw(server_dir, server_remove, 16, FTW_DEPTH | FTW_PHYS);
    server_dir[0] = '\0';
}

static void server_signal(int sig)
{
    exit(128 + sig); /* the benchmark has no state of its own that this could catch half made */
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

/* A connection string; extra: more of it, or "". */
static const char *server_conninfo(char *out, size_t size, const char *extra)
{
    snprintf(out, size, "host=%s port=" SERVER_PORT " user=postgres dbname=postgres %s", server_dir,
             extra);
    return out;
}

static PGconn *server_connect(const char *extra)
{
    char info[256];
    PGconn *c = PQconnectdb(server_conninfo(info, sizeof(info), extra));

    if (PQstatus(c) != CONNECTION_OK)
        server_fail(PQerrorMessage(c));
    return c;
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

static void server_run(PGconn *c, const char *sql)
{
    server_ask(c, sql, NULL, 0);
}

static void server_start(const char *const *settings)
{
    char *const init[] = {"initdb", "-D", "data", "-U",         "postgres",  "-A",
                          "trust",  "-E", "UTF8", "--locale=C", "--no-sync", NULL};
    char *const run[] = {"postgres", "-D", "data", NULL};
    struct passwd *user = getpwnam(SERVER_USER);
    char path[128], info[256];
    int status, tries;
    pid_t pid;
    FILE *f;

    server_find();
    snprintf(server_dir, sizeof(server_dir), "/tmp/penstock-bench-XXXXXX");
    if (mkdtemp(server_dir) == NULL)
        server_fail("no temporary folder");
    atexit(server_stop);
    signal(SIGINT, server_signal);
    signal(SIGTERM, server_signal);
    if (geteuid() == 0 && (user == NULL || chown(server_dir, user->pw_uid, user->pw_gid) != 0))
        server_fail("the folder cannot be given to " SERVER_USER);
    pid = server_spawn("initdb", init);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        server_fail("initdb failed");
    snprintf(path, sizeof(path), "%s/data/postgresql.conf", server_dir);
    f = fopen(path, "a");
    if (f == NULL)
        server_fail("no configuration file");
    fprintf(f, "listen_addresses = ''\nport = " SERVER_PORT "\nunix_socket_directories = '%s'\n",
            server_dir);
    for (; *settings != NULL; settings++)
        fprintf(f, "%s\n", *settings);
    fclose(f);
    server_pid = server_spawn("postgres", run);
    server_conninfo(info, sizeof(info), "");
    for (tries = 0; PQping(info) != PQPING_OK; tries++) {
        if (tries == 200 || waitpid(server_pid, &status, WNOHANG) != 0)
            server_fail("the server does not start");
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

#endif
