/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CopyData of START_REPLICATION, as it comes from the network. Whatever is accepted must lie
 * inside the input; whatever is refused must say why.
 */
#include "driver.h"

#include "source_postgres/pgoutput.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static const uint8_t *from, *end;

static void inside(const void *p, size_t len)
{
    const uint8_t *q = p;

    check(q >= from && q <= end && (size_t)(end - q) >= len);
}

static void inside_string(const char *s)
{
    if (strcmp(s, "pg_catalog") != 0)
        inside(s, strlen(s) + 1);
}

static void check_tuple(const struct pgoutput_tuple *t)
{
    for (int i = 0; i < t->ncols; i++) {
        const struct pg_cell *cell = &t->cells[i];

        check(strchr("nutb", (char)cell->kind) != NULL);
        if (cell->p != NULL)
            inside(cell->p, cell->len);
        else
            check(cell->len == 0);
    }
}

static void check_message(const struct pgoutput_decoder *d, const struct pgoutput_message *m)
{
    switch (m->tag) {
    case PGOUTPUT_ORIGIN:
        inside_string(m->origin.name);
        break;
    case PGOUTPUT_RELATION:
        inside_string(m->relation.schema);
        for (int i = 0; i < m->relation.ncols; i++)
            inside_string(m->relation.columns[i].name);
        break;
    case PGOUTPUT_TYPE:
        inside_string(m->type.name);
        break;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        check(m->row.has_new == (m->tag != PGOUTPUT_DELETE));
        check_tuple(&d->old);
        check_tuple(&d->after);
        break;
    case PGOUTPUT_TRUNCATE:
        check((size_t)m->truncate.count * 4 < (size_t)(end - from));
        break;
    case PGOUTPUT_MESSAGE:
        inside_string(m->message.prefix);
        inside(m->message.content, m->message.len);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pgoutput_decoder decoder;
    struct arena *a = arena_new("fuzz");
    struct error err = {0};
    struct pgoutput_message m;
    struct pgoutput_copy copy;

    from = data;
    end = data + size;
    if (!pgoutput_copy_data(data, size, &copy, &err)) {
        check(err.kind != ERROR_NONE && err.message[0] != '\0');
    } else if (copy.tag == 'w') {
        inside(copy.payload, copy.payload_len);
        if (pgoutput_decode(&decoder, a, copy.payload, copy.payload_len, &m, &err))
            check_message(&decoder, &m);
        else
            check(err.kind != ERROR_NONE && err.message[0] != '\0');
    }
    arena_free(a);
    pgoutput_decoder_free(&decoder);
    return 0;
}
