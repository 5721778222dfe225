/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB locks each file that it opens, for reading too, and has no setting against it; the process
 * that answers a question reads a file that its parent has locked. It calls fcntl for that, and the
 * dynamic linker gives it the program's own where there is one: this one, which is libc's until
 * wdk_ignore_locks. If a later libduckdb takes its lock otherwise, opening the file fails, loudly.
 */
#include "warehouse_duckdb/wdk.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool ignored;

void wdk_ignore_locks(void)
{
    ignored = true;
}

int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *); /* an int comes in the same register */
    va_end(ap);
    if (ignored && (cmd == F_SETLK || cmd == F_SETLKW))
        return 0;
    return (int)syscall(SYS_fcntl, fd, cmd, arg);
}
