/* SPDX-License-Identifier: Apache-2.0 */
/* A COPY row: the first byte is the number of columns, the rest the row. */
#include "driver.h"

#include "source_postgres/copy_text.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pg_cell cells[256];
    struct error err = {0};
    size_t len, total = 0;
    int n;
    char *row;

    if (size == 0)
        return 0;
    n = data[0];
    len = size - 1;
    row = malloc(len > 0 ? len : 1);
    if (row == NULL)
        abort();
    memcpy(row, data + 1, len);
    if (!copy_text_split(row, len, cells, n, &err)) {
        check(err.kind == ERROR_RETRY && err.message[0] != '\0');
        n = 0;
    }
    for (int i = 0; i < n; i++) {
        if (cells[i].kind == PG_CELL_NULL) {
            check(cells[i].p == NULL && cells[i].len == 0);
            continue;
        }
        check(cells[i].kind == PG_CELL_TEXT && cells[i].p >= row);
        check((size_t)(cells[i].p - row) + cells[i].len < len);
        total += cells[i].len + 1;
    }
    check(total <= len);
    free(row);
    return 0;
}
