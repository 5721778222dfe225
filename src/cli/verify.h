/* SPDX-License-Identifier: Apache-2.0 */
/* How penstock verify prints what came of it. */
#ifndef PENSTOCK_CLI_VERIFY_H
#define PENSTOCK_CLI_VERIFY_H

#include <jansson.h>
#include <stdio.h>

/* j: as GET /v1/verifications/ID answers. Texts are shown without control characters. */
void verify_print(FILE *out, const json_t *j);

#endif
