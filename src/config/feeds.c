/* SPDX-License-Identifier: Apache-2.0 */
/* Sources, warehouses and the topics between them. */
#include "config/feeds.h"

#include "config/config_internal.h"
#include "config/nearest.h"
#include "util/buf.h"

static bool unknown(const struct feed_end *ends, int n, const char *name, struct error *err)
{
    struct nearest near = {0};
    struct buf names = {0};

    error_set(err, ERROR_CONFIG, "there is no connector %s", name);
    for (int i = 0; i < n; i++) {
        nearest_offer(&near, name, ends[i].name);
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", ends[i].name);
    }
    if (near.best != NULL)
        error_hint(err, "did you mean %s?", near.best);
    else if (n > 0)
        error_hint(err, "there is: %s", buf_cstr(&names));
    buf_free(&names);
    return false;
}

/* The one source of a warehouse. */
static int source_of(const struct feed_end *ends, int n, int sink, struct error *err)
{
    int found = -1;

    for (int i = 0; i < n; i++) {
        if (!ends[i].source || !config_feeds(ends[i].config, ends[sink].config))
            continue;
        if (found >= 0) {
            error_set(err, ERROR_CONFIG, "warehouse %s has several sources", ends[sink].name);
            error_hint(err, "name one of them: %s, %s", ends[found].name, ends[i].name);
            return -1;
        }
        found = i;
    }
    if (found < 0) {
        error_set(err, ERROR_CONFIG, "warehouse %s takes the topics of no source connector",
                  ends[sink].name);
        error_hint(err, "name a source connector");
    }
    return found;
}

int feeds_source(const struct feed_end *ends, int n, const char *name, struct error *err)
{
    int at = 0;

    while (at < n && strcmp(ends[at].name, name) != 0)
        at++;
    if (at == n) {
        unknown(ends, n, name, err);
        return -1;
    }
    return ends[at].source ? at : source_of(ends, n, at, err);
}

int feeds_sink(const struct feed_end *ends, int n, int source)
{
    for (int i = 0; i < n; i++) {
        if (!ends[i].source && config_feeds(ends[source].config, ends[i].config))
            return i;
    }
    return -1;
}
