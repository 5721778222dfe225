/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges pairs of schemas for compat_fastavro.py: a line of the reader's JSON, a line of the
 * writer's, answered by one line, "yes" or "no: why"; until the end of stdin.
 */
#include "avro/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(char **line, size_t *cap)
{
    ssize_t n = getline(line, cap, stdin);

    if (n > 0 && (*line)[n - 1] == '\n')
        (*line)[n - 1] = '\0';
    return n > 0;
}

int main(void)
{
    char *reader = NULL, *writer = NULL;
    size_t reader_cap = 0, writer_cap = 0;

    while (read_line(&reader, &reader_cap) && read_line(&writer, &writer_cap)) {
        struct error err = {0};

        if (avro_can_read(reader, writer, &err))
            puts("yes");
        else
            printf("no: %s\n", err.message);
        fflush(stdout);
    }
    free(reader);
    free(writer);
    return 0;
}
